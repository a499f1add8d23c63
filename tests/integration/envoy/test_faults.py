"""A fault while the edge decides is a refusal: whatever breaks in the check, nothing passes it."""

from __future__ import annotations

import pytest

from gateway import fields
from mesh.contract import contract
from tests.integration.envoy.lone import lone, strict

PARTS = (
    "tame_request_id",
    "spell_scheme",
    "pass_on",
    "find_route",
    "check_query",
    "read_body",
    "is_json",
    "check_body",
)
"""What the check consists of."""
BODY = b'{"displayName": "Ana"}'
JSON = {"content-type": "application/json"}


def test_the_request_is_good() -> None:
    """With the check as it is, the request of these tests passes."""
    with lone([strict(contract())]) as client:
        assert client.patch("/v1/users/me?updateMask=handle", content=BODY, headers=JSON).status_code == 204


@pytest.mark.parametrize("part", PARTS)
def test_a_broken_part_of_the_check_refuses(part: str) -> None:
    """Envoy lets a request pass when its script fails; this one answers 500 and passes nothing on."""
    script = fields.script(contract())
    begins = f"local function {part}("
    assert script.count(begins) == 1
    broken = script.replace(
        begins, f'local function {part}() error("broken on purpose") end\nlocal function once_{part}('
    )
    with lone([strict(contract(), broken)]) as client:
        answer = client.patch("/v1/users/me?updateMask=handle", content=BODY, headers=JSON)
    assert (answer.status_code, answer.json()["details"][0]["reason"]) == (500, "INTERNAL")
    assert "broken on purpose" not in answer.text


@pytest.mark.parametrize("table", ["TYPES", "ROUTES", "PATTERNS", "ENUMS", "KINDS"])
def test_a_lost_table_refuses(table: str) -> None:
    """Without what it knows of the contract the check refuses what it would have passed."""
    script = fields.script(contract())
    lost = script.replace("local ANY", f"{table} = {{}}\nlocal ANY", 1)
    body = b'{"theme": "THEME_DARK", "productNews": true}'
    with lone([strict(contract(), lost)]) as client:
        answers = [
            client.patch("/v1/users/me/preferences", content=body, headers=JSON),
            client.get("/v1/users/user_1"),
        ]
    refused = [answer.status_code for answer in answers if answer.status_code != 204]
    assert refused
    assert set(refused) <= {404, 405, 500}
