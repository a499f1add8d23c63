"""The REST door never lies: each route, each kind of wrong request, and what the answer says about it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping

import httpx
import pytest
import pytest_asyncio
from google.protobuf.descriptor import FieldDescriptor

from codegen.fields import rules_of
from codegen.project import Project
from mesh.contract import NONE, Method, contract
from tests.e2e import bodies
from tests.e2e.bodies import Attempt
from tests.e2e.doors import Edge
from tests.e2e.people import Person
from tests.e2e.routes import Requests, Route
from tests.e2e.stacks import Stack

ROUTES = [Route(method, rule) for method in contract().methods for rule in method.http if "gateway" in method.callers]
VERBS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
CODES = {400: 3, 401: 16, 403: 7, 404: 5, 405: 12, 413: 3, 415: 3}
each_route = pytest.mark.parametrize("route", ROUTES, ids=str)


@pytest.fixture(scope="module")
def tried(tell: Callable[[str], None]) -> Iterator[Counter[str]]:
    count: Counter[str] = Counter()
    yield count
    lines = (f"  {number:5}  {what}" for what, number in sorted(count.items()))
    tell("\n".join([f"REST conformance: {count.total()} requests to {len(ROUTES)} routes", *lines]))


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def people(stack: Stack) -> AsyncIterator[Mapping[bool, Person]]:
    """A user, and an administrator; whoever goes there again has limits of their own."""
    user, administrator = await stack.person().arrive(), await stack.person().arrive()
    await stack.appoint(administrator)
    await administrator.log_in()
    yield {False: user, True: administrator}


def credentials(method: Method, people: Mapping[bool, Person]) -> Mapping[str, str]:
    return {} if method.end_user == NONE else people[bool(method.roles)].bearer


class Door:
    """Sends attempts, and collects what is not as it must be."""

    def __init__(self, rest: httpx.AsyncClient, requests: Requests, headers: Mapping[str, str]) -> None:
        self._rest, self._requests, self._headers = rest, requests, headers
        self.wrong: list[str] = []

    async def check(self, attempts: Iterable[Attempt]) -> int:
        """How many there were."""
        count = 0
        for attempt in attempts:
            count += 1
            if problem := unlike(attempt, await self.send(attempt)):
                self.wrong.append(f"{attempt.what}: {problem}")
        return count

    async def send(self, attempt: Attempt) -> httpx.Response:
        rule = self._requests.route.rule
        path = rule.path
        for name, value in {**self._requests.path, **attempt.path}.items():
            path = re.sub(rf"\{{{name}(=[^}}]*)?\}}", value, path)
        headers = {**self._headers, **({} if attempt.content is None else attempt.headers)}
        query = {**self._requests.query, **attempt.query}
        return await self._rest.request(
            attempt.verb or rule.verb, path, params=query, content=attempt.content, headers=headers
        )


def unlike(attempt: Attempt, answer: httpx.Response) -> str:
    """What about an answer is not as the attempt demands; nothing if all is well."""
    if answer.status_code != attempt.status:
        return f"{answer.status_code}, not {attempt.status}: {answer.text[:300]}"
    if problem := misshapen(answer):
        return f"{problem}: {answer.text[:300]}"
    details = answer.json()["details"]
    if details[0]["reason"] not in attempt.reasons:
        return f"{details[0]['reason']}, not {attempt.reasons}"
    named = [one["field"] for detail in details for one in detail.get("fieldViolations", ())]
    # An item's list is named with where in it the item stands.
    if attempt.place and attempt.place not in {*named, *(re.sub(r"\[\d*\]$", "", one) for one in named)}:
        return f"names {named}, not {attempt.place}"
    return ""


def misshapen(answer: httpx.Response) -> str:
    """What keeps a refusal from being a google.rpc.Status whose first detail is an ErrorInfo."""
    if answer.headers["content-type"] != "application/json" or "x-request-id" not in answer.headers:
        return f"headers {dict(answer.headers)}"
    body = answer.json()
    if set(body) != {"code", "message", "details"} or body["code"] != CODES[answer.status_code] or not body["message"]:
        return "no google.rpc.Status of this HTTP status"
    info = body["details"][0] if body["details"] else {}
    if info.get("@type") != "type.googleapis.com/google.rpc.ErrorInfo" or not info["domain"].endswith(".tulle"):
        return "no ErrorInfo"
    return ""


FAMILIES: Mapping[str, Callable[[Requests], Iterable[Attempt]]] = {
    "unknown or misplaced": bodies.unknown_fields,
    "wrong type, range or name": bodies.wrong_types,
    "not strict JSON": lambda requests: bodies.malformed(requests) if requests.route.rule.body else (),
    "wrong body": bodies.wrong_bodies,
}


@each_route
@pytest.mark.parametrize("family", FAMILIES)
async def test_a_wrong_request_is_refused_by_name(
    edge: Edge, project: Project, tried: Counter[str], route: Route, family: str
) -> None:
    """Before anybody asks who is calling: what a route does not know is refused, and the place is named."""
    async with edge.rest() as rest:
        door = Door(rest, requests := Requests(project, route), {})
        tried[family] += await door.check(FAMILIES[family](requests))
    assert not door.wrong, "\n".join(door.wrong)


@each_route
async def test_a_broken_rule_is_named(
    edge: Edge, project: Project, people: Mapping[bool, Person], tried: Counter[str], route: Route
) -> None:
    """A value that breaks a rule of the contract is 400 with a violation of its field, null where one must be too."""
    requests = Requests(project, route)
    attempts = [*bodies.broken_rules(requests), *bodies.nulls(requests)]
    async with edge.rest() as rest:
        door = Door(rest, requests, credentials(route.method, people))
        tried["broken rule"] += await door.check(attempts)
    assert not door.wrong, "\n".join(door.wrong)


def known_verbs(path: str) -> set[str]:
    """The verbs of all routes whose template a path matches."""
    return {route.rule.verb for route in ROUTES if re.fullmatch(_regex(route.rule.path), path)}


def _regex(template: str) -> str:
    return "".join("[^/]+" if part.startswith("{") else re.escape(part) for part in re.split(r"(\{[^}]+\})", template))


@each_route
async def test_a_wrong_verb_learns_the_right_ones(
    edge: Edge, project: Project, tried: Counter[str], route: Route
) -> None:
    """405 with `allow`, for each verb that no route has at this path."""
    requests = Requests(project, route)
    path = route.rule.path
    for name, value in requests.path.items():
        path = re.sub(rf"\{{{name}[^}}]*\}}", value, path)
    async with edge.rest() as rest:
        for verb in sorted(set(VERBS) - (known := known_verbs(path))):
            answer = await rest.request(verb, path)
            tried["wrong verb"] += 1
            assert answer.status_code == 405, (verb, answer.text)
            assert answer.headers["allow"] == ", ".join(sorted(known)), verb
            assert verb == "HEAD" or not misshapen(answer), (verb, answer.text)


@each_route
def test_a_rule_of_a_field_is_tried(project: Project, route: Route) -> None:
    """Each field with a rule has a value that breaks it, so that no rule goes untried."""
    requests = Requests(project, route)
    ruled = {f.name for f in [*requests.body_fields, *requests.query_fields] if _has_rule(project, f)}
    tried = {a.place.rpartition(".")[2] for a in [*bodies.broken_rules(requests), *bodies.nulls(requests)]}
    assert ruled <= tried


def _has_rule(project: Project, one: FieldDescriptor) -> bool:
    return rules_of(project.contract, one) is not None


def test_a_good_request_breaks_no_rule(project: Project) -> None:
    """What the suite starts from is right, so that each refusal is for the one thing that was made wrong."""
    for route in ROUTES:
        requests = Requests(project, route)
        assert bodies.violated(requests, bodies.changed(requests)) == set(), route
