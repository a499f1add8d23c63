"""`tulle.event.v1.EventsService`: what an operator may see and do of one workload's events."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from tulle.event.v1 import operations_pb2 as pb

from infra import limits
from infra.events.backlog import Backlogs
from infra.events.outbox import envelope
from infra.events.statements import inbox, outbox
from infra.postgres import Database
from mesh.call import Call

Record = Mapping[str, Any]


class EventsServicer:
    """The RPCs of EventsService; what each promises is said in protos/tulle/event/v1/operations.proto."""

    def __init__(self, database: Database, backlogs: Backlogs, workload: str) -> None:
        self._database = database
        self._backlogs = backlogs
        self._workload = workload

    async def GetBacklog(self, request: pb.GetBacklogRequest, call: Call) -> pb.Backlog:
        return await self._backlogs.now()

    async def ListEvents(self, request: pb.ListEventsRequest, call: Call) -> pb.ListEventsResponse:
        size = min(request.page_size or limits.EVENTS_PAGE, limits.EVENTS_LONGEST_PAGE)
        async with self._database.connection() as connection:
            asked = {"before": request.page_token, "aggregate_id": request.aggregate_id, "size": size + 1}
            rows = [row async for row in outbox.newest(connection, **asked)]
        events = [self._published(row) for row in rows[:size]]
        return pb.ListEventsResponse(
            events=events, next_page_token=events[-1].event.event_id if len(rows) > size else ""
        )

    async def GetEventLife(self, request: pb.GetEventLifeRequest, call: Call) -> pb.EventLife:
        async with self._database.connection() as connection:
            published: Record | None = await outbox.event(connection, event_id=request.event_id)
            consumed: Record | None = await inbox.life(connection, event_id=request.event_id)
        return pb.EventLife(
            published=self._published(published) if published else None,
            consumed=_consumed(consumed) if consumed else None,
        )

    async def ListDeadLetters(self, request: pb.ListDeadLettersRequest, call: Call) -> pb.ListDeadLettersResponse:
        size = min(request.page_size or limits.EVENTS_PAGE, limits.EVENTS_LONGEST_PAGE)
        async with self._database.connection() as connection:
            rows = [row async for row in inbox.dead(connection, after=request.page_token, size=size + 1)]
        letters = [_dead(row) for row in rows[:size]]
        return pb.ListDeadLettersResponse(
            dead_letters=letters, next_page_token=letters[-1].event_id if len(rows) > size else ""
        )

    async def RedriveDeadLetters(
        self, request: pb.RedriveDeadLettersRequest, call: Call
    ) -> pb.RedriveDeadLettersResponse:
        async with self._database.connection() as connection:
            redriven = await inbox.redrive(connection, event_ids=list(request.event_ids))
        return pb.RedriveDeadLettersResponse(redriven=redriven)

    async def RepublishEvents(self, request: pb.RepublishEventsRequest, call: Call) -> pb.RepublishEventsResponse:
        asked = {**_stretch(request), "type": request.type, "after": request.page_token, "batch": limits.REPLAY_BATCH}
        async with self._database.connection() as connection:
            batch: Record = await outbox.republish(connection, **asked)
        full = batch["count"] == limits.REPLAY_BATCH
        return pb.RepublishEventsResponse(republished=batch["count"], next_page_token=batch["last"] if full else "")

    async def ForgetEvents(self, request: pb.ForgetEventsRequest, call: Call) -> pb.ForgetEventsResponse:
        asked = {**_stretch(request), "source": request.source, "batch": limits.REPLAY_BATCH}
        async with self._database.connection() as connection:
            return pb.ForgetEventsResponse(forgotten=await inbox.forget(connection, **asked))

    def _published(self, row: Record) -> pb.Published:
        return pb.Published(
            event=envelope(row, self._workload),
            publish_time=row["publish_at"],
            published_time=row["published_at"],
            stream_seq=row["stream_seq"] or 0,
        )


def _consumed(row: Record) -> pb.Consumed:
    return pb.Consumed(
        received_time=row["received_at"],
        done=row["done"],
        attempts=row["attempts"] or 0,
        error=row["error"] or "",
        retry_time=None if row["done"] or row["dead_at"] else row["retry_at"],
        dead_time=row["dead_at"],
    )


def _dead(row: Record) -> pb.DeadLetter:
    return pb.DeadLetter(
        event_id=row["event_id"],
        type=row["type"],
        source=row["source"],
        aggregate_id=row["aggregate_id"],
        attempts=row["attempts"],
        error=row["error"],
        dead_time=row["dead_at"],
        readable=bool(row["aggregate_id"]),
    )


def _stretch(request: pb.RepublishEventsRequest | pb.ForgetEventsRequest) -> dict[str, object]:
    return {"since": _time(request.since), "until": _time(request.until)}


def _time(stamp: Timestamp) -> datetime:
    return stamp.ToDatetime(UTC)
