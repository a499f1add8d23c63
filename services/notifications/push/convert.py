"""Push values to protobuf messages, and keys out of them."""

from __future__ import annotations

import base64
from datetime import datetime
from urllib.parse import urlsplit

from google.protobuf.timestamp_pb2 import Timestamp
from tulle.notifications.v1 import push_pb2 as pb

from services.notifications.push.domain import Endpoint, Keys


def keys_from_pb(request: pb.RegisterEndpointRequest) -> Keys:
    """Raw keys; what is none is found out by the domain's check."""
    return Keys(_raw(request.p256dh), _raw(request.auth))


def endpoint_to_pb(endpoint: Endpoint) -> pb.PushEndpoint:
    """What its owner may see."""
    return pb.PushEndpoint(
        endpoint_id=endpoint.endpoint_id,
        host=urlsplit(endpoint.url).hostname or "",
        create_time=_timestamp(endpoint.create_time),
        last_state=endpoint.last_state or "",
        last_time=_timestamp(endpoint.last_time) if endpoint.last_time else None,
    )


def _raw(text: str) -> bytes:
    bare = text.rstrip("=")
    return base64.urlsafe_b64decode(bare + "=" * (-len(bare) % 4)) if len(bare) % 4 != 1 else b""


def _timestamp(time: datetime) -> Timestamp:
    timestamp = Timestamp()
    timestamp.FromDatetime(time)
    return timestamp
