"""Deliveries as messages."""

from __future__ import annotations

from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp
from tulle.notifications.v1 import notifications_pb2 as pb

from services.notifications.domain.deliveries import Decision, Delivery, State

_STATES = {
    State.WAITING: pb.DELIVERY_STATE_WAITING,
    State.SENDING: pb.DELIVERY_STATE_SENDING,
    State.SENT: pb.DELIVERY_STATE_SENT,
    State.WITHHELD: pb.DELIVERY_STATE_WITHHELD,
    State.FAILED: pb.DELIVERY_STATE_FAILED,
    State.LOST: pb.DELIVERY_STATE_LOST,
}


def delivery_to_pb(delivery: Delivery) -> pb.Delivery:
    """What somebody was told, and why or why not."""
    return pb.Delivery(
        delivery_id=delivery.delivery_id,
        kind=delivery.kind,
        channel=delivery.channel,
        event_id=delivery.event_id,
        state=_STATES[delivery.state],
        reason=delivery.reason,
        attempts=delivery.attempts,
        create_time=_time_to_pb(delivery.create_time),
        next_time=_time_to_pb(delivery.not_before if delivery.state is State.WAITING else None),
        done_time=_time_to_pb(delivery.done_time),
        repeats=delivery.repeats,
        history=map(_decision_to_pb, delivery.history),
    )


def _decision_to_pb(decision: Decision) -> pb.Decision:
    return pb.Decision(
        time=_time_to_pb(decision.time),
        state=_STATES[decision.state],
        reason=decision.reason,
        until=_time_to_pb(decision.until),
    )


def _time_to_pb(time: datetime | None) -> Timestamp | None:
    if time is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(time)
    return stamp
