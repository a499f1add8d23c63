"""`./tulle events`: what an operator sees and does of events, asked of every workload that has some."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

import typer
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from rich.table import Table
from tulle.event.v1 import operations_pb2 as pb
from tulle.event.v1 import operations_pb2_grpc

from infra.cli.app import app, err, out, print_json, stack
from infra.cli.times import ago, moment
from infra.local.layout import Layout, Unusable
from infra.local.operator import calling
from mesh import model
from mesh.contract import contract
from services import topology

events = typer.Typer(help="What waits, what failed, one event's life; try again, publish again.")
app.add_typer(events, name="events")
T = TypeVar("T")
WIDEST = 400
Ask = Callable[[Any], Awaitable[T]]
Json = Annotated[bool, typer.Option("--json", help="Print for programs.")]
Workload = Annotated[str, typer.Argument(help="A workload, such as `users`.")]


@events.callback(invoke_without_command=True)
def overview(context: typer.Context, as_json: Json = False) -> None:
    """Show streams, consumers, lag and dead letters."""
    if context.invoked_subcommand:
        return
    found = asyncio.run(_all(stack(), lambda stub: stub.GetBacklog(pb.GetBacklogRequest())))
    if as_json:
        print_json({name: _json(backlog) for name, backlog in found.items()})
    else:
        _print_backlogs(found)


@events.command(name="list")
def list_(
    workload: Workload,
    about: Annotated[str, typer.Option(help="Only those about this thing, such as a user's id.")] = "",
    size: Annotated[int, typer.Option(min=1, max=200, help="How many.")] = 20,
    as_json: Json = False,
) -> None:
    """List the newest events that a workload announced."""
    request = pb.ListEventsRequest(page_size=size, aggregate_id=about)
    found = asyncio.run(_one(stack(), workload, lambda stub: stub.ListEvents(request)))
    if as_json:
        print_json([_published(one) for one in found.events])
        return
    rows = [
        (one.event.event_id, _short(one.event.type), one.event.aggregate_id, str(one.event.aggregate_seq), _state(one))
        for one in found.events
    ]
    _print_table(("event", "type", "about", "place", "state"), rows)


@events.command()
def show(event_id: Annotated[str, typer.Argument(help="Such as event_01k3v7d0h2e8mqz5n7c4y1trab.")]) -> None:
    """Show one event's life as JSON: announced, published, consumed by whom, parked, given up."""
    request = pb.GetEventLifeRequest(event_id=event_id)
    lives = asyncio.run(_all(stack(), lambda stub: stub.GetEventLife(request)))
    published = [_published(life.published) for life in lives.values() if life.HasField("published")]
    consumed = {name: _json(life.consumed) for name, life in lives.items() if life.HasField("consumed")}
    if not published and not consumed:
        raise Unusable(f"No workload knows an event {event_id}; ./tulle events list WORKLOAD shows the newest.")
    print_json({**(published[0] if published else {}), "consumers": consumed})


@events.command()
def dead(as_json: Json = False) -> None:
    """List the events that a workload gave up."""
    found = asyncio.run(_dead_letters(stack()))
    if as_json:
        print_json([{"workload": name, **_json(letter)} for name, letter in found])
        return
    rows = [
        (name, letter.event_id, _short(letter.type), ago(letter.dead_time.ToDatetime(UTC)), letter.error)
        for name, letter in found
    ]
    _print_table(("workload", "event", "type", "given up", "error"), rows)
    err.print("Try them again with ./tulle events redrive." if rows else "There are no dead letters.")


@events.command()
def redrive(
    event_ids: Annotated[list[str] | None, typer.Argument(help="Which; none: all that can be read.")] = None,
) -> None:
    """Try dead letters again, from their first attempt."""
    count = asyncio.run(_redrive(stack(), frozenset(event_ids or ())))
    err.print(f"Dead letters tried again: {count}")


@events.command()
def replay(
    workload: Workload,
    since: Annotated[str, typer.Option(help="A time in UTC, such as 2026-01-31T08:00, or how long ago: 30m, 2h, 3d.")],
    type_: Annotated[str, typer.Option("--type", help="Only events of this type, by the full name.")] = "",
    anew_for: Annotated[
        str, typer.Option(help="A workload that forgets what it had of them, so that each has its effect once more.")
    ] = "",
) -> None:
    """Publish again what a workload published. Consumers that had it do nothing, unless they forget it."""
    if type_ and type_ not in contract().events:
        raise Unusable(f"{type_} is no event; docs/policy.md lists them.")
    if type_ and anew_for:
        raise Unusable("--anew-for forgets events of all types, so that it cannot be joined with --type.")
    until = datetime.now(UTC)
    forgotten, count = asyncio.run(_replay(stack(), workload, moment(since, until), until, type_, anew_for))
    if anew_for:
        err.print(f"Events that {anew_for} has forgotten: {forgotten}")
    err.print(f"Events published again: {count}")


async def _one(layout: Layout, workload: str, ask: Ask[T]) -> T:
    if workload not in _workloads():
        raise Unusable(f"{workload} has no events; these have: {', '.join(_workloads())}.")
    async with calling(layout, workload) as channel:
        return await ask(channel.stub(operations_pb2_grpc.EventsServiceStub))


async def _all(layout: Layout, ask: Ask[T]) -> dict[str, T]:
    """By workload what each answers. Raises: Unavailable naming the first that does not."""

    async def asked(workload: str) -> T:
        try:
            return await _one(layout, workload, ask)
        except model.Unavailable as error:
            raise Unusable(f"{workload} does not answer ({error}); see ./tulle status.") from error

    return dict(zip(_workloads(), await asyncio.gather(*map(asked, _workloads())), strict=True))


def _workloads() -> list[str]:
    return [workload.name for workload in topology.owners(topology.EVENTS)]


async def _dead_letters(layout: Layout) -> list[tuple[str, pb.DeadLetter]]:
    found = []
    for workload in _workloads():
        found += [(workload, letter) async for letter in _letters(layout, workload)]
    return found


async def _letters(layout: Layout, workload: str) -> AsyncIterator[pb.DeadLetter]:
    token = ""
    while True:
        request = pb.ListDeadLettersRequest(page_token=token)
        page = await _one(layout, workload, lambda stub: stub.ListDeadLetters(request))  # noqa: B023 (awaited at once)
        for letter in page.dead_letters:
            yield letter
        if not (token := page.next_page_token):
            return


async def _redrive(layout: Layout, event_ids: frozenset[str]) -> int:
    letters = [one for one in await _dead_letters(layout) if one[1].readable]
    chosen = [(name, letter.event_id) for name, letter in letters if not event_ids or letter.event_id in event_ids]
    if odd := event_ids - {event_id for _, event_id in chosen}:
        raise Unusable(f"{', '.join(sorted(odd))}: no dead letter that could be tried again; see ./tulle events dead.")
    return sum([await _redrive_at(layout, workload, chosen) for workload in _workloads()])


async def _redrive_at(layout: Layout, workload: str, chosen: Sequence[tuple[str, str]]) -> int:
    ids = [event_id for name, event_id in chosen if name == workload]
    count = 0
    for start in range(0, len(ids), 200):
        request = pb.RedriveDeadLettersRequest(event_ids=ids[start : start + 200])
        answer = await _one(layout, workload, lambda stub: stub.RedriveDeadLetters(request))  # noqa: B023
        count += answer.redriven
    return count


async def _replay(
    layout: Layout, workload: str, since: datetime, until: datetime, type_: str, anew_for: str
) -> tuple[int, int]:
    """How many events were forgotten, and how many will be published again."""
    stretch: dict[str, Any] = {"since": _stamp(since), "until": _stamp(until)}
    forget = pb.ForgetEventsRequest(source=workload, **stretch)
    forgotten = 0
    while anew_for and (batch := (await _one(layout, anew_for, lambda stub: stub.ForgetEvents(forget))).forgotten):
        forgotten += batch
    return forgotten, await _republish(layout, workload, pb.RepublishEventsRequest(**stretch, type=type_))


async def _republish(layout: Layout, workload: str, request: pb.RepublishEventsRequest) -> int:
    count = 0
    while True:
        page: pb.RepublishEventsResponse = await _one(layout, workload, lambda stub: stub.RepublishEvents(request))
        count += page.republished
        if not page.next_page_token:
            return count
        request.page_token = page.next_page_token


def _stamp(time: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(time)
    return stamp


def _json(message: Message) -> dict[str, Any]:
    return MessageToDict(message, always_print_fields_with_no_presence=True)


def _published(found: pb.Published) -> dict[str, Any]:
    """As JSON, with the payload read as the message that it is."""
    told = _json(found)
    told["event"]["payload"] = _json(_payload(found))
    return told


def _payload(found: pb.Published) -> Message:
    from google.protobuf import message_factory

    pool = contract().pool
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(found.event.type)).FromString(found.event.payload)


def _short(type_: str) -> str:
    return type_.removeprefix("tulle.").replace(".v1.", ".")


def _state(one: pb.Published) -> str:
    if one.HasField("published_time"):
        return f"published {ago(one.published_time.ToDatetime(UTC))}"
    return f"due {ago(one.publish_time.ToDatetime(UTC))}" if one.HasField("publish_time") else "waits"


def _print_backlogs(found: Mapping[str, pb.Backlog]) -> None:
    rows = []
    for name, one in found.items():
        since = f" since {ago(one.unpublished_since.ToDatetime(UTC))}" if one.unpublished else ""
        stream = f"{one.stream.messages:,} events, {one.stream.bytes / max(1, one.stream.max_bytes):.1%} full"
        held = stream if one.HasField("stream") else ("" if one.broker_answers else "no answer")
        rows.append((name, f"{one.unpublished}{since}", str(one.timers), str(one.parked), str(one.dead), held))
    _print_table(("workload", "unpublished", "timers", "parked", "dead", "stream"), rows)
    lag = [(c.name, _short(c.type), str(c.waiting), str(c.unacknowledged)) for b in found.values() for c in b.consumers]
    _print_table(("consumer", "type", "waiting", "being consumed"), lag)


def _print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    if rows:
        table = Table(box=None, header_style="bold", pad_edge=False)
        for column in columns:
            table.add_column(column, no_wrap=True)
        for row in rows:
            table.add_row(*row)
        # Ids are there to be copied, however narrow the terminal is.
        out.print(table, soft_wrap=True, width=WIDEST)
