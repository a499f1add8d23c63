"""The check in front of the transcoder: nothing that a client says is dropped silently.

It runs in Envoy's Lua, so these laws are tried on a real gateway.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.envoy.rig import Rig

JSON = {"content-type": "application/json"}
BOTH = {
    "display_name": "displayName",
    "handle": "handle",
    "locale": "locale",
    "time_zone": "timeZone",
    "avatar_url": "avatarUrl",
    "etag": "etag",
}
KNOWN = {*BOTH, *BOTH.values(), "user_id", "userId", "create_time", "createTime", "update_time", "updateTime"}
OFTEN = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
users = itertools.count()


class Door:
    """PATCH /v1/users/me with any body, each time as somebody else, so that no limit is met."""

    def __init__(self, mesh: Rig) -> None:
        self.mesh, self.client, self.token = mesh, mesh.rest("127.0.4.1"), ""

    def send(self, body: bytes) -> httpx.Response:
        number = next(users)
        if number % 50 == 0 or not self.token:
            self.token = self.mesh.token(sub=f"user_strict_{number}")
        headers = JSON | {"authorization": f"Bearer {self.token}"}
        return self.client.patch("/v1/users/me", headers=headers, content=body)


@pytest.fixture(scope="module")
def door(stack: Rig) -> Iterator[Door]:
    made = Door(stack)
    yield made
    made.client.close()


def reason(response: httpx.Response) -> str:
    return str(response.json()["details"][0]["reason"])


@pytest.mark.parametrize(
    ("body", "expected", "place"),
    [
        ('{"nope": 1}', "UNKNOWN_FIELD", "`nope`"),
        ('{"etag": "1", "no\\u0070e": 1}', "UNKNOWN_FIELD", "`nope`"),
        ('{"no\\"pe`<script>": 1}', "UNKNOWN_FIELD", "`no?pe??script?`"),
        ('{"Etag": "1"}', "UNKNOWN_FIELD", "`Etag`"),
        ('{"profile": {}}', "UNKNOWN_FIELD", "`profile`"),
        ('{"update_mask": "etag"}', "UNKNOWN_FIELD", "`update_mask`"),
        ('{"etag": "1", "etag": "2"}', "REPEATED_FIELD", "`etag`"),
        ('{"displayName": "1", "display_name": "2"}', "REPEATED_FIELD", "`display_name`"),
        ('{"etag": {}}', "WRONG_TYPE", "`etag`"),
        ('{"createTime": {"seconds": 1}}', "WRONG_TYPE", "`createTime`"),
        ('{"etag": ["1"]}', "WRONG_TYPE", "`etag`"),
        ("[]", "MALFORMED_JSON", "object"),
        ("null", "MALFORMED_JSON", "object"),
        (" ", "MALFORMED_JSON", "object"),
        ("{'etag': '1'}", "MALFORMED_JSON", ""),
        ('{etag: "1"}', "MALFORMED_JSON", ""),
        ('{"etag": "1",}', "MALFORMED_JSON", ""),
        ('{"etag": "1"} {}', "MALFORMED_JSON", ""),
        ('{"etag": "1" /* no */}', "MALFORMED_JSON", ""),
        ('{"etag": NaN}', "MALFORMED_JSON", ""),
        ('{"etag"', "MALFORMED_JSON", ""),
        ('{"etag": "\\', "MALFORMED_JSON", ""),
        ('{"etag": "a\nb"}', "MALFORMED_JSON", ""),
        ('{"etag": "a\0b"}', "MALFORMED_JSON", ""),
        ('{"etag": "a\\qb"}', "MALFORMED_JSON", ""),
        ('{"etag": "\\x41"}', "MALFORMED_JSON", ""),
        ('{"etag": "\\u12"}', "MALFORMED_JSON", ""),
        ('{"et\\ag": "1"}', "MALFORMED_JSON", ""),
        *(
            (f'{{"etag": {number}}}', "MALFORMED_JSON", "")
            for number in ("01", "1-2", "1e", "1.", ".5", "-", "+1", "0x1")
        ),
    ],
)
def test_what_nobody_would_hear_is_refused_by_name(door: Door, body: str, expected: str, place: str) -> None:
    """Unknown, repeated, misplaced or not JSON: 400, and the message says where."""
    response = door.send(body.encode())
    assert (response.status_code, reason(response)) == (400, expected)
    assert place in response.json()["message"]


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{}",
        ' \r\n\t{ "etag" : "1" , "handle":"a" } \n',
        '{"etag": null, "createTime": "2020-01-01T00:00:00Z"}',
        '{"display\\u004eame": "\\u00e9\\n\\"{}[],:\\\\"}',
        '{"displayName": "\u00fc\U0001f600"}',
    ],
)
def test_plain_json_of_known_fields_passes(door: Door, body: str) -> None:
    """Spaces, escapes, nulls, both spellings of a name: all of JSON is welcome."""
    assert door.send(body.encode()).status_code == 200


def test_only_one_member_of_a_oneof_may_be_set(mesh: Rig) -> None:
    """The transcoder would keep the last; here both are named. null sets nothing."""
    with mesh.rest("127.0.4.2") as client:
        url = "/v1/auth:completeSecondFactor"
        both = client.post(url, json={"totpCode": "123456", "recovery_code": "x"})
        assert (both.status_code, reason(both)) == (400, "CONFLICTING_FIELDS")
        assert client.post(url, json={"totpCode": None, "recoveryCode": "x"}).status_code == 200


def test_a_field_that_the_path_binds_is_no_field_of_the_body(mesh: Rig) -> None:
    """The path's user_id cannot be contradicted."""
    with mesh.rest(token=mesh.token(roles=["administrator"])) as client:
        url = "/v1/auth/accounts/user_1:grantRole"
        response = client.post(url, json={"role": "ROLE_ADMINISTRATOR", "userId": "user_2"})
        assert (response.status_code, reason(response)) == (400, "UNKNOWN_FIELD")
        assert client.post(url, json={"role": "ROLE_ADMINISTRATOR"}).status_code == 200


names = st.sampled_from(sorted(BOTH)).flatmap(lambda name: st.sampled_from([name, BOTH[name]]))
values = st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"]), max_size=20))


@OFTEN
@given(st.dictionaries(names, values, max_size=5), st.booleans())
def test_no_honest_body_is_refused(door: Door, fields: dict[str, Any], ascii_only: bool) -> None:
    """Whatever a JSON library writes of known fields passes, unless both spellings of one are there."""
    spelled = {BOTH.get(name, name) for name in fields}
    response = door.send(json.dumps(fields, ensure_ascii=ascii_only).encode())
    if len(spelled) == len(fields):
        assert response.status_code == 200, response.text
    else:
        assert reason(response) == "REPEATED_FIELD"


pieces = st.sampled_from([*sorted(KNOWN), *"{}[],:\"'\\-1 \né", "nope", "\\u0065", "null", "true"])
inside = st.lists(st.sampled_from([*'\\\\\\qux/bfnrt"01aé ', "\\u0065", "\\u12", "\\x41"]), max_size=6).map("".join)
members = st.tuples(names, inside).map(lambda pair: f'"{pair[0]}":"{pair[1]}"')
quoted = st.one_of(pieces, members, names.map(lambda name: f'"{name}"'), st.just('"nope"'))


@OFTEN
@given(st.lists(quoted, max_size=12).map(lambda inner: "{" + "".join(inner) + "}"))
def test_what_passes_is_strict_json_of_known_fields_each_said_once(door: Door, body: str) -> None:
    """However a body is mangled: if it gets through, Python's strict parser reads the same, and knows every name."""
    response = door.send(body.encode())
    assert response.status_code in {200, 400}, response.text
    if response.status_code == 200:
        pairs: list[tuple[str, Any]] = json.loads(body, object_pairs_hook=list, parse_constant=_refuse)
        said = [BOTH.get(name, name) for name, _ in pairs]
        assert set(said) <= KNOWN
        assert len(said) == len(set(said))


def _refuse(constant: str) -> None:
    raise AssertionError(constant)
