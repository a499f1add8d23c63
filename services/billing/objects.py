"""Whose objects the requests of billing name."""

from __future__ import annotations

from services.objects import Object

OBJECTS: tuple[Object, ...] = ()
