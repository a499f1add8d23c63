"""Breaks in the policy of methods (tulle.policy.v1.method, google.api.http, idempotency_level)."""

from __future__ import annotations

from collections.abc import Iterator

from codegen.breaking.breaks import Break, Change, callers, full_name
from mesh.contract import NONE, OPTIONAL, REQUIRED, Method, RateLimit
from services.topology import GATEWAY

# Nothing stated does not build, which the rules say; here it must not stop the other findings.
_STRICTNESS = {"": 0, NONE: 0, OPTIONAL: 1, REQUIRED: 2}
_NEW_METHOD = "add a method beside it, move its callers, then delete the old one"


def _found(change: Change, aspect: str, new: Method, what: str, whom: str, instead: str, part: str = "") -> Break:
    """A break of a method, or of one `part` of what it says, so that an exception for one allows no other."""
    subject = f"{full_name(new)} {part}".strip()
    return Break(subject, aspect, what, whom, instead, change.where(f"{new.service}.{new.name}"))


def routes(change: Change) -> Iterator[Break]:
    """A path that is gone, or whose body is another."""
    for old, new in change.both():
        kept = set(new.http)
        for rule in old.http:
            if rule not in kept:
                what = f"`{rule.verb} {rule.path}` is gone, or has another body"
                instead = "keep it, and give the new path to `additional_bindings`"
                yield _found(change, "route", new, what, "REST clients of it", instead, f"{rule.verb} {rule.path}")


def end_users(change: Change) -> Iterator[Break]:
    """Whether a call needs an end user."""
    for old, new in change.both():
        if old.end_user == new.end_user:
            continue
        what = f"end_user was {old.end_user} and is {new.end_user or 'not stated'}"
        if _STRICTNESS[new.end_user] > _STRICTNESS[old.end_user]:
            yield _found(change, "end_user", new, what, f"{callers(old.callers)}, without a token", _NEW_METHOD)
        else:
            yield _found(change, "end_user", new, f"{what}: it is open to more", *_WHOSE_DATA)


_WHOSE_DATA = (
    "the people whose data it reads or changes",
    "keep it as strict as it was; if it is meant, write down why in an exception",
)


def roles(change: Change) -> Iterator[Break]:
    """Which roles may call. No role means every signed-in user."""
    for old, new in change.both():
        if old.roles == new.roles:
            continue
        what = f"roles were {_names(old.roles)} and are {_names(new.roles)}"
        shut_out = new.roles and (not old.roles or old.roles - new.roles)
        let_in = old.roles and (not new.roles or new.roles - old.roles)
        if shut_out:
            lost = _names(old.roles - new.roles) if old.roles else "every other signed-in user"
            yield _found(
                change, "roles", new, what, f"callers with {lost}", "let the old roles in until nobody has them"
            )
        if let_in:
            yield _found(change, "roles-looser", new, f"{what}: it is open to more", *_WHOSE_DATA)


def _names(roles: frozenset[str]) -> str:
    return ", ".join(sorted(roles)) or "any"


def scopes(change: Change) -> Iterator[Break]:
    """Which API keys may call. No scope means none."""
    for old, new in change.both():
        if old.scope == new.scope:
            continue
        what = f"an API key needed {_scope(old.scope)} and needs {_scope(new.scope)}"
        if old.scope:
            whom = f"programs with API keys of {old.scope}"
            yield _found(change, "scope", new, what, whom, "keep the scope, or add a method beside it")
        # Of a scope that is new itself there is no key yet: whoever makes one knows what it opens.
        if new.scope in change.old.scopes:
            yield _found(change, "scope-looser", new, f"{what}: keys that are there open more", *_WHOSE_DATA)


def _scope(name: str) -> str:
    return name or "a person in its place"


def freshness(change: Change) -> Iterator[Break]:
    """Whether the session is asked for at each call."""
    for old, new in change.both():
        if old.fresh and not new.fresh:
            what = "it trusts an access token for the rest of its life: who was logged out may still call for minutes"
            yield _found(change, "fresh", new, what, *_WHOSE_DATA)


def workloads(change: Change) -> Iterator[Break]:
    """Which workloads may call."""
    for old, new in change.both():
        for gone in sorted(old.callers - new.callers):
            what = f"`{gone}` may not call it any more"
            yield _found(change, "callers", new, what, callers({gone}), "first let it stop calling, in a release", gone)
        for more in sorted(new.callers - old.callers):
            yield _found(change, "callers-looser", new, f"`{more}` may call it now", *_WHOSE_DATA, more)


def limits(change: Change) -> Iterator[Break]:
    """How often one principal may call: in all, and at once."""
    for old, new in change.both():
        before, after = old.rate_limit, new.rate_limit
        if GATEWAY in old.callers and after and (before is None or _tighter(before, after)):
            was = f"{before.requests} in {before.per:g} s have" if before else "no limit has"
            what = f"{was} become {after.requests} in {after.per:g} s"
            whom = f"{callers(old.callers)}, who call that often"
            yield _found(change, "rate_limit", new, what, whom, "announce it, and lower it a release later")


def _tighter(before: RateLimit, after: RateLimit) -> bool:
    return after.requests * before.per < before.requests * after.per or after.requests < before.requests


def deadlines(change: Change) -> Iterator[Break]:
    """How long a call may take."""
    for old, new in change.both():
        if new.deadline < old.deadline:
            what = f"{old.deadline:g} s have become {new.deadline:g} s"
            yield _found(change, "deadline", new, what, f"{callers(old.callers)}, whose calls take longer", _FASTER)


_FASTER = "make it faster first; a shorter deadline is the last step"


def repetitions(change: Change) -> Iterator[Break]:
    """Whether a call may be repeated by whoever got no answer."""
    for old, new in change.both():
        if old.retry_safe and not new.retry_safe:
            what = "idempotency_level does not say any more that it may be repeated"
            whom = f"{callers(old.callers)}, who repeat it, and callers whose failures the mesh hid by repeating"
            yield _found(change, "idempotency_level", new, what, whom, "keep it safe to repeat, or add another method")


def reasons(change: Change) -> Iterator[Break]:
    """Why a call may be refused."""
    for old, new in change.both():
        for gone in sorted(old.reasons - new.reasons):
            what = f"it does not answer the reason {gone} any more"
            whom = f"{callers(old.callers)}, whose programs wait for it"
            yield _found(change, "reasons", new, what, whom, "go on answering it where it was answered", gone)


def announcements(change: Change) -> Iterator[Break]:
    """Which events a call may publish."""
    for old, new in change.both():
        for gone in sorted(set(old.emits) - set(new.emits)):
            event = change.old.events.get(gone)
            hears = callers(event.consumers) if event and event.consumers else "nobody yet"
            what = f"it does not publish {gone} any more"
            yield _found(change, "emits", new, what, hears, "publish both, until nobody consumes the old one", gone)


def headers(change: Change) -> Iterator[Break]:
    """What a call reads besides its request."""
    for old, new in change.both():
        for gone in sorted(set(old.headers) - set(new.headers)):
            what = f"it does not read the header `{gone}` any more: the gateway drops it"
            whom = f"{callers(old.callers)}, whose programs send it"
            yield _found(change, "headers", new, what, whom, "go on reading it, or add another method", gone)


ASPECTS = (
    routes,
    end_users,
    roles,
    scopes,
    freshness,
    workloads,
    limits,
    deadlines,
    repetitions,
    reasons,
    announcements,
    headers,
)
