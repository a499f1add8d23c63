"""Whose objects the requests of notifications name: nobody's, everybody asks about themselves."""

from __future__ import annotations

from services.objects import Object

OBJECTS: tuple[Object, ...] = ()
