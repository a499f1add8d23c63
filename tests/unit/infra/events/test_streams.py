"""What the broker holds and permits, from the contract alone."""

from __future__ import annotations

import pytest

from infra import limits
from infra.events import streams
from mesh.contract import Contract, Event, contract


def of(*events: Event) -> Contract:
    """A contract of these events and nothing else."""
    return Contract({}, {event.message: event for event in events}, contract().pool)


def event(name: str, domain: str, retention: float = 60.0, *consumers: str) -> Event:
    return Event(f"tulle.{domain}.v1.{name}", domain, f"tulle.{domain}.{name.lower()}", retention, frozenset(consumers))


MADE, PAID, SENT = (
    event("Made", "shop", 60.0, "mail", "books"),
    event("Paid", "shop", 600.0, "books"),
    event("Sent", "mail", 30.0, "mail"),
)
SHOP = of(MADE, PAID, SENT)


def test_each_domain_has_one_stream_that_keeps_the_longest_retention() -> None:
    """Shorter-lived events end by their own time to live."""
    found = {config.name: config for config in streams.stream_configs(SHOP)}
    assert {name: (config.subjects, config.max_age) for name, config in found.items()} == {
        "TULLE_SHOP": (["tulle.shop.>"], 600.0),
        "TULLE_MAIL": (["tulle.mail.>"], 30.0),
    }
    assert all(config.allow_msg_ttl and config.max_bytes == limits.STREAM_BYTES for config in found.values())


def test_no_stream_keeps_events_longer_than_the_outbox() -> None:
    """A retention beyond the table's limit is refused: the outbox could not fill such a stream again."""
    with pytest.raises(ValueError, match=r"tulle\.shop\.v1\.Made"):
        streams.stream_configs(of(event("Made", "shop", limits.STREAM_KEEP + 1)))


def test_each_consumer_of_an_event_has_its_own_place() -> None:
    """One durable consumer for each pair of an event and a workload."""
    found = [(name, config.durable_name, config.filter_subject) for name, config in streams.consumer_configs(SHOP)]
    assert found == [
        ("TULLE_SHOP", "books-made", "tulle.shop.made"),
        ("TULLE_SHOP", "mail-made", "tulle.shop.made"),
        ("TULLE_SHOP", "books-paid", "tulle.shop.paid"),
        ("TULLE_MAIL", "mail-sent", "tulle.mail.sent"),
    ]


def test_a_workload_may_publish_its_own_events_and_consume_what_the_contract_lists() -> None:
    """And nothing else; administration is nobody's."""
    assert streams.permissions(SHOP, "shop") == streams.Permissions(
        publish=("tulle.shop.made", "tulle.shop.paid", "$JS.API.STREAM.INFO.TULLE_SHOP"), subscribe=("_INBOX.shop.>",)
    )
    assert streams.permissions(SHOP, "books").publish == (
        "$JS.API.CONSUMER.MSG.NEXT.TULLE_SHOP.books-made",
        "$JS.API.CONSUMER.INFO.TULLE_SHOP.books-made",
        "$JS.ACK.TULLE_SHOP.books-made.>",
        "$JS.API.CONSUMER.MSG.NEXT.TULLE_SHOP.books-paid",
        "$JS.API.CONSUMER.INFO.TULLE_SHOP.books-paid",
        "$JS.ACK.TULLE_SHOP.books-paid.>",
    )
    assert streams.permissions(SHOP, "stranger").publish == ()


def test_only_the_administrator_has_no_bounds() -> None:
    """Every workload's user in the server's configuration carries its permissions."""
    config = streams.server_config(SHOP, {streams.ADMINISTRATOR: "a", "shop": "b", "idle": "c"}, "/store", 4222)
    users = {user["user"]: user for user in config["authorization"]["users"]}  # type: ignore[index]
    assert "permissions" not in users[streams.ADMINISTRATOR]
    assert users["idle"]["permissions"]["publish"] == {"allow": ()}
    assert users["shop"]["permissions"]["subscribe"] == {"allow": ("_INBOX.shop.>",)}


def test_the_contracts_own_streams_can_be_made() -> None:
    """No event of this build asks for more than the table allows."""
    assert streams.stream_configs(contract())
