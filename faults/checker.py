"""The laws: pure functions of what people were told and what the platform has recorded."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from faults.evidence import Evidence
from faults.journal import Operation
from faults.money import money_is_true
from faults.run import Law, Run, Violation
from mesh.contract import contract

ALLOWED = 0.5
"""Seconds beyond its deadline in which a call ends."""


def rest_comes(run: Run) -> Iterator[str]:
    """When nothing more is harmed, everything comes to rest: processes, events, deliveries; people get answers."""
    if not run.evidence.calm:
        yield "something is still under way after a minute and a half"
    for one in run.operations:
        if one.method == "gave up":
            yield f"{one.person} had no answer for a minute at {one.end:.1f} s"


def writes_stay(run: Run) -> Iterator[str]:
    """What somebody was told is written can be read: accounts, and each profile as it was changed last."""
    accounts = {row["email"]: row["user_id"] for row in run.evidence.accounts}
    names = {row["user_id"]: row["display_name"] for row in run.evidence.profiles}
    for person, operations in _by_person(run.operations).items():
        email = f"{person}@example.org"
        opened = any(one.method.endswith("/VerifyEmail") and one.acknowledged for one in operations)
        if opened and email not in accounts:
            yield f"{person} was told that the account is open, and there is none"
        possible = _possible_names(operations)
        if email in accounts and (name := names.get(accounts[email], "")) not in possible:
            yield f"the profile of {person} says {name!r}, and {' or '.join(map(repr, possible))} was written last"


def _possible_names(operations: Sequence[Operation]) -> list[str]:
    """The last name that was acknowledged, and those after it that may have been written."""
    changes = [one for one in operations if one.method.endswith("/UpdateProfile")]
    names = [""]
    for one in changes:
        if one.acknowledged:
            names = [one.facts["display_name"]]
        elif one.possible:
            names.append(one.facts["display_name"])
    return names


def events_arrive(run: Run) -> Iterator[str]:
    """Every committed event is published, and each of its consumers has had it."""
    evidence = run.evidence
    for workload, rows in evidence.outbox.items():
        for row in rows:
            if row["published_at"] is None and row["publish_at"] is None:
                yield f"{row['event_id']} of {workload} was never published"
    for event in contract().events.values():
        rows = [row for row in evidence.outbox[event.domain] if row["type"] == event.message]
        # A timer whose time has not come is published by nobody.
        made = {row["event_id"] for row in rows if row["published_at"] is not None}
        for workload in event.consumers:
            had = {row["event_id"] for row in evidence.inbox[workload]}
            for event_id in sorted(made - had):
                yield f"{event_id} ({event.message}) never had its effect in {workload}"


def events_once(run: Run) -> Iterator[str]:
    """Nobody consumes what was not announced; each effect is made once, and those of one thing in their order."""
    made = {row["event_id"] for rows in run.evidence.outbox.values() for row in rows}
    for workload, rows in run.evidence.inbox.items():
        for row in rows:
            if row["event_id"] not in made:
                yield f"{workload} has had {row['event_id']}, which nobody announced"
    yield from _effects(run.evidence)


def _effects(evidence: Evidence) -> Iterator[str]:
    """What the handlers leave behind: a profile for each account, a delivery for each mail."""
    opened = [row["aggregate_id"] for row in evidence.outbox["auth"] if row["type"].endswith(".AccountCreated")]
    profiles = Counter(row["user_id"] for row in evidence.profiles)
    for user_id in opened:
        if profiles[user_id] != 1:
            yield f"{user_id} has {profiles[user_id]} profiles"
    wanted = [row["event_id"] for row in evidence.outbox["auth"] if row["type"].endswith(".MailRequested")]
    deliveries = Counter(row["event_id"] for row in evidence.deliveries if row["channel"] == "mail")
    for event_id in wanted:
        if deliveries[event_id] != 1:
            yield f"{event_id} has {deliveries[event_id]} deliveries"


def poison_is_buried(run: Run) -> Iterator[str]:
    """What is no event ends as a dead letter, once, and nothing else does."""
    dead = [row for rows in run.evidence.parked.values() for row in rows if row["dead_at"] is not None]
    if (buried := len([row for row in dead if not row["aggregate_id"]])) < run.poisoned:
        yield f"of {run.poisoned} messages that are no events {buried} are dead letters"
    for row in dead:
        if row["aggregate_id"]:
            yield f"{row['event_id']} ({row['type']}) is a dead letter: {row['error']}"


def mails_arrive(run: Run) -> Iterator[str]:
    """Mail about security goes out at least once, always under its own Message-ID to its own address."""
    sent = defaultdict(list)
    for mail in run.evidence.mails:
        sent[mail.message_id].append(mail.to)
    for row in run.evidence.wanted_mails:
        if row["kind"] != "nobody" and not _withheld(run.evidence, row["mail_id"]):
            to = sent.pop(f"<{row['mail_id']}@tulle.local>", [])
            if set(to) != {row["email"]}:
                yield f"{row['mail_id']} ({row['kind']}) went to {len(to)} addresses"


def _withheld(evidence: Evidence, mail_id: str) -> bool:
    return any(row["mail_id"] == mail_id and row["state"] == "withheld" for row in evidence.deliveries)


TOLD = {"tulle.billing.v1.InvoicePaid": "invoice_paid", "tulle.billing.v1.PaymentFailed": "payment_failed"}
"""The events of which whoever subscribed is told by mail and in the app, under that kind."""


def told_once(run: Run) -> Iterator[str]:
    """What is not about security: one mail and one message for each event that tells, and no mail goes out twice."""
    sent = Counter(mail.message_id for mail in run.evidence.mails)
    for row in run.evidence.deliveries:
        if row["channel"] == "mail" and not row["repeatable"]:
            count = sent[f"<{row['delivery_id']}@tulle.local>"]
            if count > 1 or (row["state"] == "sent" and not row["digest_id"] and not count):
                yield f"{row['delivery_id']} ({row['kind']}, {row['state']}) went out {count} times"
    for type_, kind in TOLD.items():
        made = {row["event_id"] for row in run.evidence.outbox["billing"] if row["type"] == type_}
        yield from _told(run.evidence, kind, made)
    for person, operations in _by_person(run.operations).items():
        yield from _forgotten(person, [one.facts["numbers"] for one in operations if one.method == "inbox"])


def _forgotten(person: str, looks: Sequence[Sequence[int]]) -> Iterator[str]:
    """What stood in an inbox once stands there from then on, once."""
    for numbers in looks:
        if len(set(numbers)) < len(numbers):
            yield f"{person} saw a message twice in one look"
    for before, after in pairwise(looks):
        if lost := set(before) - set(after):
            yield f"{person} saw {len(lost)} messages that were gone at the next look"


def _told(evidence: Evidence, kind: str, made: set[str]) -> Iterator[str]:
    """Nobody in a run switches anything off, so each event has its message."""
    for channel in ("mail", "in_app"):
        rows = Counter(
            row["event_id"] for row in evidence.deliveries if row["kind"] == kind and row["channel"] == channel
        )
        yield from (f"{one} has {rows[one]} deliveries by {channel}" for one in sorted(made) if rows[one] != 1)
    messages = sum(row["kind"] == kind for row in evidence.inboxes)
    if messages != len(made):
        yield f"{len(made)} events tell {kind}, and {messages} messages stand in inboxes"


def requests_count_once(run: Run) -> Iterator[str]:
    """The same request id with the same body does the same thing once; with another body it is refused."""
    mails = Counter(row["email"] for row in run.evidence.wanted_mails if row["kind"] == "verify")
    for one in run.operations:
        if one.method.endswith("/SignUp"):
            if one.facts.get("other") and one.acknowledged:
                yield f"{one.person}: a request id was taken for another body"
            elif not one.facts.get("other") and mails[one.facts["email"]] > 1:
                yield f"{one.person}: one sign-up under one request id wanted {mails[one.facts['email']]} mails"


def strangers_get_nothing(run: Run) -> Iterator[str]:
    """Without a valid identity nothing succeeds, whatever is broken at the time."""
    for one in run.operations:
        if one.facts.get("intruder") and one.acknowledged:
            yield f"{one.method} answered {one.status} to nobody at {one.begin:.1f} s"


def calls_end(run: Run) -> Iterator[str]:
    """Each call ends by its deadline and half a second, by the caller's own clock."""
    deadlines = {method.path: method.deadline for method in contract().methods}
    for one in run.operations:
        if one.method in deadlines:
            lag = sum(seconds for at, seconds in run.lags if one.begin - 1 <= at <= one.end + 1)
            if one.end - one.begin > deadlines[one.method] + ALLOWED + lag:
                yield f"{one.method} took {one.end - one.begin:.2f} s at {one.begin:.1f} s (status {one.status})"


def sessions_end(run: Run) -> Iterator[str]:
    """A refresh token is good once: spent it ends the session, asked for again it gives the same successor."""
    for one in run.operations:
        if one.method == "same successor" and not one.facts["same"]:
            yield f"{one.person} got two successors of one refresh token"
        elif one.method.endswith("/Refresh") and one.acknowledged and one.facts["which"] in ("spent", "revoked"):
            yield f"{one.person} refreshed with a token that was {one.facts['which']}"
    for person, operations in _by_person(run.operations).items():
        yield from _locked_out(person, [one for one in operations if one.method.endswith(("/Refresh", "/LogIn"))])


def _locked_out(person: str, operations: Sequence[Operation]) -> Iterator[str]:
    """Whoever lost an answer can ask again within the grace."""
    for first, second in pairwise(operations):
        again = second.method.endswith("/Refresh") and second.facts["which"] in ("current", "again")
        lost = first.method.endswith("/Refresh") and first.status == 0 and first.facts["which"] == "current"
        if lost and again and second.status == 401 and second.end - first.begin < 20:
            yield f"{person} lost the answer to a refresh at {first.begin:.1f} s and was locked out"


def logs_keep_secrets(run: Run) -> Iterator[str]:
    """No password, token or code stands in any log."""
    for name, text in run.evidence.logs.items():
        for secret in run.secrets:
            if secret in text:
                yield f"{name} has a secret: …{secret[-6:]}"


def _by_person(operations: Sequence[Operation]) -> Mapping[str, Sequence[Operation]]:
    found: dict[str, list[Operation]] = defaultdict(list)
    for one in operations:
        found[one.person].append(one)
    return found


LAWS: Mapping[str, Law] = {
    "rest-comes": rest_comes,
    "writes-stay": writes_stay,
    "events-arrive": events_arrive,
    "events-once": events_once,
    "poison-is-buried": poison_is_buried,
    "mails-arrive": mails_arrive,
    "told-once": told_once,
    "requests-count-once": requests_count_once,
    "money-is-true": money_is_true,
    "strangers-get-nothing": strangers_get_nothing,
    "calls-end": calls_end,
    "sessions-end": sessions_end,
    "logs-keep-secrets": logs_keep_secrets,
}


def check(run: Run) -> list[Violation]:
    """Every violation of every law."""
    return [Violation(law, what) for law, of in LAWS.items() for what in of(run)]
