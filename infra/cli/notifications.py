"""`./tulle why`: what somebody was told or what came of an event, and why or why not."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC
from typing import Annotated

import typer
from google.protobuf.json_format import MessageToDict
from rich.table import Table
from tulle.notifications.v1 import notifications_pb2 as pb
from tulle.notifications.v1 import notifications_pb2_grpc

from infra.cli.app import app, err, out, print_json, stack
from infra.cli.times import ago
from infra.local.layout import Layout, Unusable
from infra.local.operator import calling

WIDEST = 400


@app.command()
def why(
    what: Annotated[str, typer.Argument(metavar="ID", help="A person's id (user_…) or an event's (event_…).")],
    kind: Annotated[str, typer.Option(help="Only of this kind, such as payment_failed.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print for programs, with each decision.")] = False,
) -> None:
    """Say what a person was told, or what came of an event: sent, waiting, withheld, and why."""
    found = asyncio.run(_asked(stack(), _request(what, kind)))
    if as_json:
        print_json([MessageToDict(one, always_print_fields_with_no_presence=True) for one in found])
    else:
        _print(found)
        err.print(f"{len(found)} deliveries" if found else "Nobody was to be told anything.")


def _request(what: str, kind: str) -> pb.ListDeliveriesRequest:
    if what.startswith("user_"):
        return pb.ListDeliveriesRequest(user_id=what, kind=kind)
    if what.startswith("event_"):
        return pb.ListDeliveriesRequest(event_id=what, kind=kind)
    raise Unusable(f"{what} is no id of a person (user_…) or an event (event_…).")


async def _asked(layout: Layout, request: pb.ListDeliveriesRequest) -> Sequence[pb.Delivery]:
    async with calling(layout, "notifications") as channel:
        answer = await channel.stub(notifications_pb2_grpc.DeliveriesServiceStub).ListDeliveries(request)
    return list(answer.deliveries)


def _print(found: Sequence[pb.Delivery]) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("wanted", "kind", "by", "what came of it", "event"):
        table.add_column(column, no_wrap=True)
    for one in found:
        table.add_row(ago(one.create_time.ToDatetime(UTC)), one.kind, one.channel, outcome(one), one.event_id)
    if found:
        out.print(table, soft_wrap=True, width=WIDEST)


def outcome(one: pb.Delivery) -> str:
    """In a line: `waiting, QUIET, until in 3 h`."""
    state = pb.DeliveryState.Name(one.state).removeprefix("DELIVERY_STATE_").lower()
    until = f"until {ago(one.next_time.ToDatetime(UTC))}" if one.HasField("next_time") else ""
    again = f"its event came {one.repeats} times more" if one.repeats else ""
    return ", ".join(part for part in (state, one.reason, until, again) if part)
