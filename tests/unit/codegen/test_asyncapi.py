"""The AsyncAPI document: what is announced, where, and who hears of it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from google.protobuf import json_format
from tulle.auth.v1 import events_pb2
from tulle.event.v1 import event_pb2

from codegen import asyncapi, build
from codegen.project import Project
from infra.events import streams
from mesh.contract import contract
from tests.unit.codegen.shop import shop

Json = dict[str, Any]


@pytest.fixture
def small(tmp_path: Path) -> Project:
    return shop(tmp_path)


@pytest.fixture(scope="module")
def real() -> Json:
    made: Json = json.loads((build.ROOT / "codegen/gen/asyncapi.json").read_text())
    return made


def at(document: Json, pointer: str) -> Any:
    """What a reference points to. Raises KeyError."""
    found: Any = document
    for part in pointer.removeprefix("#/").split("/"):
        found = found[part]
    return found


def references(part: Any) -> list[str]:
    if isinstance(part, list):
        return [found for item in part for found in references(item)]
    if isinstance(part, dict):
        here = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
        return here + [found for item in part.values() for found in references(item)]
    return []


def test_each_event_has_a_channel_a_producer_and_its_consumers(small: Project) -> None:
    """The address is the subject; one operation sends, one for each consumer receives."""
    document = asyncapi.document(small)
    assert document["channels"]["shop.v1.Bought"]["address"] == "tulle.shop.bought"
    actions = {name: operation["action"] for name, operation in document["operations"].items()}
    assert actions == {
        "shop.sends.shop.v1.Bought": "send",
        "billing.receives.shop.v1.Bought": "receive",
        "shop.sends.shop.v1.Sent": "send",
    }
    assert "/tulle.shop.v1.ShopService/Buy" in document["operations"]["shop.sends.shop.v1.Bought"]["summary"]


def test_every_reference_leads_somewhere(real: Json) -> None:
    """No `$ref` points into nothing, and names are what AsyncAPI 3.0 allows."""
    assert references(real)
    for pointer in references(real):
        at(real, pointer)
    names = [name for part in real["components"].values() for name in part]
    assert all(re.fullmatch(r"[a-zA-Z0-9._-]+", name) for name in [*names, *real["channels"], *real["operations"]])


def test_the_document_says_what_the_broker_holds(real: Json) -> None:
    """Subjects and durable consumers are those that the broker is given."""
    subjects = {event.subject for event in contract().events.values()}
    assert {channel["address"] for channel in real["channels"].values()} == subjects
    heard = " ".join(operation["summary"] for operation in real["operations"].values())
    durables = [config.durable_name for _, config in streams.consumer_configs(contract())]
    assert durables
    assert all(f"`{durable}`" in heard for durable in durables)


def test_a_published_event_fits_its_schema(real: Json) -> None:
    """The envelope of a real event, as JSON, is what the document describes; that of another event is not."""
    payload = events_pb2.AccountCreated(user_id="user_01k3v7c2e5f9rbq0j4mzx8w6td").SerializeToString()
    envelope = event_pb2.Event(event_id="event_1", type="tulle.auth.v1.AccountCreated", payload=payload)
    seen = json_format.MessageToDict(envelope)
    created, roles = (real["components"]["messages"][f"auth.v1.{name}"] for name in ("AccountCreated", "RolesChanged"))
    check = {**created["payload"], "components": real["components"]}
    assert jsonschema_rs.Draft202012Validator(check).is_valid(seen)
    other = {**roles["payload"], "components": real["components"]}
    assert not jsonschema_rs.Draft202012Validator(other).is_valid(seen)
