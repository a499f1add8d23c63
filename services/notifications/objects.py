"""Whose objects the requests of notifications name; else everybody asks about themselves."""

from __future__ import annotations

from services.objects import Object

_NOBODY_S = "ENDPOINT_NOT_FOUND"

OBJECTS = (
    Object("/tulle.notifications.v1.PushService/RemoveEndpoint", "endpoint_id", "endpoint", _NOBODY_S, _NOBODY_S),
)
