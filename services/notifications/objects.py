"""Whose objects the requests of notifications name; of another's event there is nothing to tell."""

from __future__ import annotations

from services.objects import OK, Object

_NOBODY_S = "ENDPOINT_NOT_FOUND"

OBJECTS = (
    Object("/tulle.notifications.v1.PushService/RemoveEndpoint", "endpoint_id", "endpoint", _NOBODY_S, _NOBODY_S),
    Object("/tulle.notifications.v1.NotificationsService/WhyNotification", "event_id", "event", OK, OK),
)
