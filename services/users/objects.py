"""Whose objects the requests of users name."""

from __future__ import annotations

from services.objects import OK, Object

_PUBLIC = frozenset({"user_id", "handle", "display_name", "avatar_url"})

OBJECTS = (Object("/tulle.users.v1.UsersService/GetProfile", "user_id", "user", OK, OK, _PUBLIC),)
