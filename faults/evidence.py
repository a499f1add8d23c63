"""What the platform itself has recorded by the end of a run."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tulle.event.v1 import operations_pb2 as pb
from tulle.event.v1.operations_pb2_grpc import EventsServiceStub

from faults.site import Site, settled
from infra.local.mailbox import Caught
from infra.local.operator import calling
from infra.local.payments.state import journal
from services import topology

Rows = Sequence[Mapping[str, Any]]
CALM = 90.0
"""Seconds in which all that was under way comes to an end once nothing more is harmed."""


@dataclass(frozen=True)
class Evidence:
    """By workload the rows of its outbox, inbox and parked events; accounts, profiles, mails and logs.

    `calm`: whether everything came to rest in time.
    """

    calm: bool
    outbox: Mapping[str, Rows]
    inbox: Mapping[str, Rows]
    parked: Mapping[str, Rows]
    accounts: Rows
    wanted_mails: Rows
    profiles: Rows
    deliveries: Rows
    inboxes: Rows
    """Each message in somebody's inbox."""
    invoices: Rows
    charges: Rows
    entries: Rows
    provider: Rows
    """The payment provider's own journal: each object that moves money, each time that it changed."""
    mails: Sequence[Caught]
    logs: Mapping[str, str]


async def gathered(site: Site) -> Evidence:
    """Wait until nothing is under way, then read everything."""
    calm = await settled(site.ready, CALM) and await settled(lambda: _at_rest(site), CALM)
    # What has just been told to be done may take a moment to be so.
    await asyncio.sleep(1)
    workloads = [workload.name for workload in topology.owners(topology.EVENTS)]
    return Evidence(
        calm=calm,
        outbox={name: await site.rows(name, "SELECT * FROM outbox") for name in workloads},
        inbox={name: await site.rows(name, "SELECT * FROM inbox") for name in workloads},
        parked={name: await site.rows(name, "SELECT * FROM parked") for name in workloads},
        accounts=await site.rows("auth", "SELECT user_id, email FROM accounts"),
        wanted_mails=await site.rows("auth", "SELECT mail_id, kind, email FROM mails"),
        profiles=await site.rows("users", "SELECT user_id, display_name FROM profiles"),
        deliveries=await site.rows("notifications", "SELECT * FROM deliveries"),
        inboxes=await site.rows("notifications", "SELECT user_id, kind, variables FROM inbox_messages"),
        invoices=await site.rows("billing", "SELECT * FROM invoices"),
        charges=await site.rows("billing", "SELECT * FROM charges"),
        entries=await site.rows("billing", "SELECT * FROM entries"),
        provider=list(journal(site.layout.data / "payments")),
        mails=site.mailbox.mails(),
        logs=dict(site.logs()),
    )


async def _at_rest(site: Site) -> bool:
    """Whether nothing more will come: nothing to publish, consume or try again, nobody to be told or asked."""
    for workload in (workload.name for workload in topology.owners(topology.EVENTS)):
        found = await _backlog(site, workload)
        lag = sum(one.waiting + one.unacknowledged for one in found.consumers)
        if not found.broker_answers or found.unpublished or found.parked or lag:
            return False
    if (await site.provider())["webhooks_waiting"]:
        return False
    # Who will be asked in an hour waits for their bank or for their payer.
    if await site.rows("billing", "SELECT 1 FROM questions WHERE ask_time < now() + interval '1 minute' LIMIT 1"):
        return False
    open_ = "SELECT 1 FROM deliveries WHERE state = 'sending' OR state = 'waiting' AND not_before < now() LIMIT 1"
    return not await site.rows("notifications", open_)


async def _backlog(site: Site, workload: str) -> pb.Backlog:
    async with calling(site.layout, workload) as channel:
        stub: Any = channel.stub(EventsServiceStub)
        found: pb.Backlog = await stub.GetBacklog(pb.GetBacklogRequest())
        return found
