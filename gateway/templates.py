"""Path templates of google.api.http: `/v1/{user_id}/things/**:verb`."""

from __future__ import annotations

import re
from dataclasses import dataclass


class BadTemplate(ValueError):
    """The path is no template of google.api.http."""


@dataclass(frozen=True, slots=True)
class Template:
    """`shape`: the segments, `*` for a variable one and `**` for many; `variables`: paths of fields."""

    shape: tuple[str, ...]
    verb: str
    variables: tuple[str, ...]

    def collides(self, other: Template) -> bool:
        """Whether the two match the same paths, whatever their variables are called."""
        return (self.shape, self.verb) == (other.shape, other.verb)


_VARIABLE = re.compile(r"\{([a-z][a-z0-9_.]*)(?:=([^{}]+))?\}")
_SEGMENT = re.compile(r"\*\*|\*|[A-Za-z0-9._~-]+")
_MAGIC = re.compile(r"([\^$()%.\[\]*+\-?])")


def parse(path: str) -> Template:
    """Read a template. Raises: BadTemplate."""
    body, _, verb = _nameless(path).partition(":")
    segments = body.split("/")
    if segments[0] or len(segments) < 2 or not all(_SEGMENT.fullmatch(segment) for segment in segments[1:]):
        raise BadTemplate(path)
    return Template(tuple(segments[1:]), verb, variables(path))


def variables(path: str) -> tuple[str, ...]:
    """Paths of the fields that a template binds."""
    return tuple(match[1] for match in _VARIABLE.finditer(path))


def documentable(path: str) -> bool:
    """Whether every variable part of the path is one segment with a name, as OpenAPI knows it."""
    return "*" not in _VARIABLE.sub(lambda match: match[1] if match[2] in (None, "*") else match[2], path)


def openapi(path: str) -> str:
    """The same path as OpenAPI writes it: variables without their patterns."""
    return _VARIABLE.sub(lambda match: f"{{{match[1]}}}", path)


def pattern(path: str) -> str:
    """The same path as a pattern of Lua. `*` is one segment, `**` any number of them."""
    wild = {"*": "[^/]+", "**": ".*"}
    parts = re.split(r"(\*\*|\*)", _nameless(path))
    return "^" + "".join(wild.get(part) or _MAGIC.sub(r"%\1", part) for part in parts) + "$"


def specificity(path: str) -> tuple[bool, list[tuple[int, str]]]:
    """A key that sorts what the transcoder prefers first: a custom verb, then literal segments, `*`, `**`."""
    segments = _nameless(path).split("/")
    return ":" not in segments[-1], [(2 if "**" in one else 1 if "*" in one else 0, one) for one in segments]


def _nameless(path: str) -> str:
    """The path with the patterns of its variables in their places."""
    return _VARIABLE.sub(lambda match: match[2] or "*", path)
