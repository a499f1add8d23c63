"""What the broker holds and who may use it: pure functions of the contract.

Each domain has one stream, each pair of an event and a workload that consumes it one durable
consumer. Workloads neither make nor change them: who may, can have the broker write anywhere
(a stream that republishes, a consumer that delivers to a subject). `provision` in `bus` does it,
as the broker's own administrator.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nats.js import api

from infra import limits
from mesh.contract import Contract, Event

ADMINISTRATOR = "provisioner"


@dataclass(frozen=True, slots=True)
class Permissions:
    """Subjects that a NATS user may publish and subscribe to."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]


def stream(domain: str) -> str:
    """The name of a domain's stream."""
    return f"TULLE_{domain.upper()}"


def durable(event: Event, workload: str) -> str:
    """The name of the consumer by which `workload` gets `event`."""
    return f"{workload}-{event.subject.rpartition('.')[2]}"


def inbox(workload: str) -> str:
    """The prefix of a workload's own replies; others may not listen to them."""
    return f"_INBOX.{workload}"


def stream_configs(contract: Contract) -> list[api.StreamConfig]:
    """The streams of all domains that have events. Raises: ValueError for a retention over STREAM_KEEP."""
    domains = sorted({event.domain for event in contract.events.values()})
    return [_stream(domain, [e for e in contract.events.values() if e.domain == domain]) for domain in domains]


def consumer_configs(contract: Contract) -> list[tuple[str, api.ConsumerConfig]]:
    """(stream, consumer) for each event and workload that consumes it."""
    return [
        (stream(event.domain), _consumer(event, workload))
        for event in contract.events.values()
        for workload in sorted(event.consumers)
    ]


def permissions(contract: Contract, workload: str) -> Permissions:
    """What `workload` may do: publish its own domain's events, consume what the contract lists for it."""
    own = sorted(event.subject for event in contract.events.values() if event.domain == workload)
    consumed = [event for event in contract.events.values() if workload in event.consumers]
    about = [f"$JS.API.STREAM.INFO.{stream(workload)}"] if own else []
    return Permissions(
        publish=(*own, *about, *(subject for event in consumed for subject in _consuming(event, workload))),
        subscribe=(f"{inbox(workload)}.>",),
    )


def server_config(contract: Contract, passwords: Mapping[str, str], store_dir: str, port: int) -> dict[str, object]:
    """A nats.conf (JSON is one) for one machine; `passwords` by workload, with ADMINISTRATOR's."""
    users: list[dict[str, object]] = [{"user": ADMINISTRATOR, "password": passwords[ADMINISTRATOR]}]
    for workload in sorted(set(passwords) - {ADMINISTRATOR}):
        allowed = permissions(contract, workload)
        rights = {"publish": {"allow": allowed.publish}, "subscribe": {"allow": allowed.subscribe}}
        users.append({"user": workload, "password": passwords[workload], "permissions": rights})
    # Left out, the server takes what the disk happens to have free, and refuses streams when that is little.
    room = limits.STREAM_BYTES * (len(stream_configs(contract)) + 1)
    jetstream = {
        "store_dir": store_dir,
        "sync_interval": "always",
        "max_file_store": room,
        "max_memory_store": 64 * limits.MIB,
    }
    return {
        "listen": f"127.0.0.1:{port}",
        "jetstream": jetstream,
        "authorization": {"users": users},
        "ping_interval": f"{limits.NATS_PING:g}s",
        "ping_max": 2,
    }


def _stream(domain: str, events: list[Event]) -> api.StreamConfig:
    too_long = [event.message for event in events if event.retention > limits.STREAM_KEEP]
    if too_long:
        raise ValueError(f"retention of {', '.join(too_long)} is over {limits.STREAM_KEEP} s")
    return api.StreamConfig(
        name=stream(domain),
        subjects=[f"tulle.{domain}.>"],
        storage=api.StorageType.FILE,
        max_age=max(event.retention for event in events),
        max_bytes=limits.STREAM_BYTES,
        # Full: refuse the publish, so that the outbox keeps it, instead of dropping what nobody has read yet.
        discard=api.DiscardPolicy.NEW,
        duplicate_window=limits.DUPLICATE_WINDOW,
        allow_msg_ttl=True,
        allow_direct=False,
        deny_delete=True,
    )


def _consumer(event: Event, workload: str) -> api.ConsumerConfig:
    return api.ConsumerConfig(
        durable_name=durable(event, workload),
        filter_subject=event.subject,
        deliver_policy=api.DeliverPolicy.ALL,
        ack_policy=api.AckPolicy.EXPLICIT,
        ack_wait=limits.ACK_WAIT,
        max_deliver=-1,
        max_ack_pending=limits.ACK_PENDING,
    )


def _consuming(event: Event, workload: str) -> tuple[str, ...]:
    name = f"{stream(event.domain)}.{durable(event, workload)}"
    return (f"$JS.API.CONSUMER.MSG.NEXT.{name}", f"$JS.API.CONSUMER.INFO.{name}", f"$JS.ACK.{name}.>")
