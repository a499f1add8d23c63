"""The checker sees each law broken, and nothing where all is well."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from faults.checker import LAWS, check
from faults.evidence import Evidence
from faults.journal import Operation
from faults.run import Run
from infra.local.mailbox import Caught
from services import topology

AUTH, USERS = "/tulle.auth.v1.AuthService", "/tulle.users.v1.UsersService"
CREATED = {
    "event_id": "event_1",
    "type": "tulle.auth.v1.AccountCreated",
    "aggregate_id": "user_1",
    "published_at": 1,
    "publish_at": None,
}
WANTED = {**CREATED, "event_id": "event_2", "type": "tulle.auth.v1.MailRequested", "aggregate_id": "mail_1"}
PAID = {**CREATED, "event_id": "event_3", "type": "tulle.billing.v1.InvoicePaid", "aggregate_id": "invoice_1"}
TOLD = {
    "event_id": "event_3",
    "channel": "mail",
    "delivery_id": "delivery_3",
    "kind": "invoice_paid",
    "state": "sent",
    "repeatable": False,
    "digest_id": None,
}
INVOICE = {"invoice_id": "invoice_1", "paid": 500, "state": "paid", "number": "EX-000001"}
CAPTURED = {
    "object": "payment_intent",
    "id": "pi_1",
    "status": "succeeded",
    "amount": 500,
    "metadata": {"charge_id": "charge_1"},
}
WORKLOADS = [workload.name for workload in topology.owners(topology.EVENTS)]


def _mail(mail_id: str, to: str) -> Caught:
    return Caught(time="", to=to, subject="", message_id=f"<{mail_id}@tulle.local>", text="")


def operation(method: str, status: int = 200, begin: float = 1.0, end: float = 1.1, **facts: Any) -> Operation:
    return Operation("ada", method, begin, end, status, facts)


def change(name: str, status: int = 200) -> Operation:
    return operation(f"{USERS}/UpdateProfile", status, display_name=name)


def refresh(which: str, status: int = 200, begin: float = 1.0) -> Operation:
    return operation(f"{AUTH}/Refresh", status, begin, begin + 0.1, which=which)


GOOD = Run(
    operations=[
        operation(f"{AUTH}/SignUp", email="ada@example.org", request_id="1"),
        operation(f"{AUTH}/SignUp", 409, request_id="1", other=True),
        operation(f"{AUTH}/VerifyEmail"),
        operation(f"{AUTH}/LogIn"),
        change("one"),
        change("two", 503),
        operation(f"{USERS}/GetProfile", 401, intruder=True),
        refresh("current", 0),
        refresh("again"),
        operation("same successor", same=True),
        operation("invoice", invoice_id="invoice_1", paid=True),
        operation("inbox", numbers=[1]),
        operation("inbox", numbers=[2, 1]),
        refresh("spent", 401),
        refresh("revoked", 401),
    ],
    secrets=frozenset({"hush"}),
    harms=[],
    poisoned=1,
    lags=[],
    evidence=Evidence(
        calm=True,
        outbox={name: {"auth": [CREATED, WANTED], "billing": [PAID]}.get(name, []) for name in WORKLOADS},
        inbox={
            name: [{"event_id": f"event_{number}"} for number in (1, 2, 3)] if name != "auth" else []
            for name in WORKLOADS
        },
        parked={name: [] for name in WORKLOADS}
        | {"users": [{"event_id": "TULLE_AUTH:9", "type": "x", "aggregate_id": "", "dead_at": 1, "error": ""}]},
        accounts=[{"user_id": "user_1", "email": "ada@example.org"}],
        wanted_mails=[{"mail_id": "mail_1", "kind": "verify", "email": "ada@example.org"}],
        profiles=[{"user_id": "user_1", "display_name": "two"}],
        deliveries=[
            {**TOLD, "event_id": "event_2", "kind": "", "mail_id": "mail_1", "repeatable": True},
            {**TOLD, "mail_id": ""},
            {**TOLD, "mail_id": "", "channel": "in_app", "delivery_id": "delivery_4"},
        ],
        inboxes=[{"user_id": "user_1", "kind": "invoice_paid", "variables": "{}"}],
        invoices=[INVOICE, {**INVOICE, "invoice_id": "invoice_2", "paid": 0, "state": "draft", "number": ""}],
        charges=[{"charge_id": "charge_1", "invoice_id": "invoice_1"}],
        entries=[
            {"source": "charge:charge_1", "currency": "EUR", "account": "clearing", "amount": 500},
            {"source": "charge:charge_1", "currency": "EUR", "account": "receivable", "amount": -500},
        ],
        provider=[CAPTURED, {**CAPTURED, "status": "processing"}, CAPTURED, {"object": "refund", "id": "re_1"}],
        mails=[_mail("mail_1", "ada@example.org"), _mail("delivery_3", "ada@example.org")],
        logs={"auth.log": "nothing"},
    ),
)


def test_where_all_is_well_nothing_is_found() -> None:
    """Refusals, lost answers and one poison message break no law."""
    assert check(GOOD) == []


def _evidence(**changes: Any) -> Callable[[Run], Run]:
    return lambda run: replace(run, evidence=replace(run.evidence, **changes))


def _also(*operations: Operation) -> Callable[[Run], Run]:
    return lambda run: replace(run, operations=[*run.operations, *operations])


def _lacking(workload: str) -> dict[str, Any]:
    return {name: rows if name != workload else [] for name, rows in GOOD.evidence.inbox.items()}


BROKEN: dict[str, tuple[str, Callable[[Run], Run]]] = {
    "something never ends": ("rest-comes", _evidence(calm=False)),
    "somebody who gets no answer": ("rest-comes", _also(operation("gave up"))),
    "a lost account": ("writes-stay", _evidence(accounts=[])),
    "a lost change": ("writes-stay", _evidence(profiles=[{"user_id": "user_1", "display_name": ""}])),
    "an older change": ("writes-stay", _also(change("three"))),
    "an unpublished event": (
        "events-arrive",
        _evidence(outbox={**GOOD.evidence.outbox, "auth": [CREATED, {**WANTED, "published_at": None}]}),
    ),
    "an event without an effect": ("events-arrive", _evidence(inbox=_lacking("users"))),
    "an event of nobody": (
        "events-once",
        _evidence(inbox={**GOOD.evidence.inbox, "users": [*GOOD.evidence.inbox["users"], {"event_id": "event_9"}]}),
    ),
    "two profiles": ("events-once", _evidence(profiles=[*GOOD.evidence.profiles] * 2)),
    "no delivery": ("events-once", _evidence(deliveries=[])),
    "unburied poison": ("poison-is-buried", _evidence(parked={name: [] for name in WORKLOADS})),
    "a mail that was never sent": ("mails-arrive", _evidence(mails=[])),
    "a mail to somebody else": (
        "mails-arrive",
        _evidence(mails=[_mail("mail_1", "bob@example.org")]),
    ),
    "a mail that went out twice": (
        "told-once",
        _evidence(mails=[*GOOD.evidence.mails, _mail("delivery_3", "ada@example.org")]),
    ),
    "a mail that is said to have gone out": ("told-once", _evidence(mails=GOOD.evidence.mails[:1])),
    "a payment of which nobody hears": ("told-once", _evidence(deliveries=GOOD.evidence.deliveries[:1])),
    "two messages about one payment": ("told-once", _evidence(inboxes=[*GOOD.evidence.inboxes] * 2)),
    "a message twice in one look": ("told-once", _also(operation("inbox", numbers=[2, 2, 1]))),
    "a message that is gone": ("told-once", _also(operation("inbox", numbers=[1]))),
    "a sign-up that counted twice": (
        "requests-count-once",
        _evidence(
            wanted_mails=[*GOOD.evidence.wanted_mails, {**GOOD.evidence.wanted_mails[0], "mail_id": "mail_2"}],
            mails=[*GOOD.evidence.mails, _mail("mail_2", "ada@example.org")],
        ),
    ),
    "one request id for two bodies": (
        "requests-count-once",
        _also(operation(f"{AUTH}/SignUp", request_id="1", other=True)),
    ),
    "books that do not balance": ("money-is-true", _evidence(entries=[GOOD.evidence.entries[0]])),
    "a double charge": (
        "money-is-true",
        _evidence(provider=[CAPTURED, {**CAPTURED, "id": "pi_2"}]),
    ),
    "two charges of one invoice": (
        "money-is-true",
        _evidence(
            charges=[*GOOD.evidence.charges, {"charge_id": "charge_2", "invoice_id": "invoice_1"}],
            provider=[CAPTURED, {**CAPTURED, "id": "pi_2", "metadata": {"charge_id": "charge_2"}}],
            invoices=[{**INVOICE, "paid": 1000}],
        ),
    ),
    "money that nobody has": ("money-is-true", _evidence(provider=[])),
    "money of which the books know nothing": ("money-is-true", _evidence(entries=[])),
    "a gap in the numbers": (
        "money-is-true",
        _evidence(invoices=[INVOICE, {**INVOICE, "invoice_id": "invoice_3", "paid": 0, "number": "EX-000003"}]),
    ),
    "a payment that is forgotten": ("money-is-true", _evidence(invoices=[{**INVOICE, "state": "open"}])),
    "an answer to nobody": ("strangers-get-nothing", _also(operation(f"{USERS}/GetProfile", intruder=True))),
    "a call that hangs": ("calls-end", _also(operation(f"{USERS}/GetProfile", begin=1.0, end=9.0))),
    "two successors": ("sessions-end", _also(operation("same successor", same=False))),
    "a spent token that works": ("sessions-end", _also(refresh("spent"))),
    "a revoked token that works": ("sessions-end", _also(refresh("revoked"))),
    "somebody who is locked out": ("sessions-end", _also(refresh("current", 0, 5.0), refresh("again", 401, 6.0))),
    "a secret in a log": ("logs-keep-secrets", _evidence(logs={"auth.log": "… hush …"})),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_what_breaks_a_law_is_found(broken: str) -> None:
    """Under the law's own name, with words that say where."""
    law, change = BROKEN[broken]
    assert law in {violation.law for violation in check(change(GOOD))}


def test_every_law_is_seen_broken() -> None:
    """No law is there that no test breaks."""
    assert {law for law, _ in BROKEN.values()} == set(LAWS)


def test_a_standing_clock_excuses_a_call() -> None:
    """What people's own machine took from them is not held against the platform."""
    late = _also(operation(f"{USERS}/GetProfile", begin=1.0, end=9.0))(GOOD)
    assert not check(replace(late, lags=[(5.0, 8.0)]))
