"""The law about money: our books, our invoices and the provider's own journal tell the same story."""

from __future__ import annotations

import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

from faults.evidence import Evidence
from faults.run import Run

Captured = Mapping[str, Mapping[str, int]]
"""By our charge the amounts that the provider captured for it, by its own id."""


def money_is_true(run: Run) -> Iterator[str]:
    """The books balance and agree with the provider; each invoice is paid what was captured, by one charge; no gaps."""
    evidence = run.evidence
    captured = _captured(evidence)
    yield from _balanced(evidence)
    yield from _charged_once(evidence, captured)
    yield from _booked(evidence, captured)
    yield from _numbered(evidence)
    yield from _promised(run)


def _captured(evidence: Evidence) -> Captured:
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for line in evidence.provider:
        if line.get("object") == "payment_intent" and line.get("status") == "succeeded":
            found[line["metadata"].get("charge_id", "")][line["id"]] = line["amount"]
    return found


def _balanced(evidence: Evidence) -> Iterator[str]:
    sums: Counter[tuple[str, str]] = Counter()
    for entry in evidence.entries:
        sums[entry["source"], entry["currency"]] += entry["amount"]
    yield from (f"{source} does not balance: {total} {currency}" for (source, currency), total in sums.items() if total)


def _charged_once(evidence: Evidence, captured: Captured) -> Iterator[str]:
    for charge in evidence.charges:
        if len(captured[charge["charge_id"]]) > 1:
            yield f"{charge['charge_id']} was charged {len(captured[charge['charge_id']])} times"
    for invoice in evidence.invoices:
        own = [one["charge_id"] for one in evidence.charges if one["invoice_id"] == invoice["invoice_id"]]
        paying = [charge_id for charge_id in own if captured[charge_id]]
        if len(paying) > 1:
            yield f"{invoice['invoice_id']} was charged {len(paying)} times"
        if (total := sum(sum(captured[charge_id].values()) for charge_id in own)) != invoice["paid"]:
            yield f"{invoice['invoice_id']} is paid {invoice['paid']}, and {total} were captured"


def _booked(evidence: Evidence, captured: Captured) -> Iterator[str]:
    """What the ledger says that the provider holds is what the provider has taken, charge by charge."""
    booked = {one["source"]: one["amount"] for one in evidence.entries if one["account"] == "clearing"}
    for charge_id, amounts in captured.items():
        if amounts and (ours := booked.get(f"charge:{charge_id}", 0)) != sum(amounts.values()):
            yield f"the ledger has {ours} for {charge_id}, and {sum(amounts.values())} were captured"
    for source in booked:
        if source.startswith("charge:") and not captured[source.removeprefix("charge:")]:
            yield f"the ledger has {source}, which was never captured"


def _numbered(evidence: Evidence) -> Iterator[str]:
    """Numbers of invoices follow each other without gaps."""
    numbers = sorted(int(re.findall(r"\d+$", one["number"])[0]) for one in evidence.invoices if one["number"])
    for before, after in itertools.pairwise([0, *numbers]):
        if after != before + 1:
            yield f"invoice number {after} follows {before}"


def _promised(run: Run) -> Iterator[str]:
    """Whoever was told that an invoice is paid has paid it."""
    paid = {row["invoice_id"] for row in run.evidence.invoices if row["state"] == "paid"}
    for one in run.operations:
        if one.method == "invoice" and one.facts["paid"] and one.facts["invoice_id"] not in paid:
            yield f"{one.person} was told that {one.facts['invoice_id']} is paid, and it is not"
