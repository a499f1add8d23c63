"""Where each part of the contract stands in its proto file, and what the comment above it says."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2

Path_ = tuple[int, ...]

# Numbers of the options that rules point to (google/api/http.proto, tulle/policy/v1/policy.proto).
HTTP, METHOD, FIELD, EVENT = 72295728, 50101, 50102, 50103
# Where `options` is in the descriptor of each kind (descriptor.proto).
_OPTIONS = {"message": 7, "field": 8, "method": 4, "service": 3, "enum": 3, "value": 3}


@dataclass(frozen=True, slots=True)
class Place:
    """An element of a file: its line, its comment and the lines that its options take."""

    file: str
    line: int
    comment: str
    options: Mapping[int, tuple[int, int]]


class Source:
    """Lines and comments by full name; those of an enum's value by `Enum.VALUE`."""

    def __init__(self, descriptor_set: bytes, protos: Path) -> None:
        files = descriptor_pb2.FileDescriptorSet.FromString(descriptor_set).file
        ours = [file for file in files if (protos / file.name).exists()]
        self._text = {file.name: (protos / file.name).read_text().splitlines() for file in ours}
        self._places = {name: place for file in ours for name, place in _places(file)}

    def comment(self, name: str) -> str:
        """The comment above an element as one text with paragraphs; empty if it has none."""
        return self._places[name].comment if name in self._places else ""

    def where(self, name: str, option: int = 0, word: str = "") -> str:
        """`file:line` of an element, of one of its options, or of the line in that option with `word`."""
        place = self._places[name]
        first, last = place.options.get(option, (place.line, place.line))
        lines = self._text[place.file][first - 1 : last]
        offset = next((i for i, line in enumerate(lines) if word and re.search(rf"\b{re.escape(word)}\b", line)), 0)
        return f"protos/{place.file}:{first + offset}"


def _places(file: descriptor_pb2.FileDescriptorProto) -> Iterator[tuple[str, Place]]:
    locations = {tuple(location.path): location for location in file.source_code_info.location}
    for name, kind, path in _elements(file):
        if location := locations.get(path):
            yield name, Place(file.name, location.span[0] + 1, _comment(location), _options(locations, path, kind))


def _options(locations: Mapping[Path_, Any], path: Path_, kind: str) -> dict[int, tuple[int, int]]:
    prefix = (*path, _OPTIONS[kind])
    return {
        other[len(prefix)]: (location.span[0] + 1, location.span[-2 if len(location.span) == 4 else 0] + 1)
        for other, location in locations.items()
        if len(other) > len(prefix) and other[: len(prefix)] == prefix
    }


def _comment(location: Any) -> str:
    """Lines of a paragraph are joined: where a comment is wrapped means nothing."""
    paragraphs = re.split(r"\n\s*\n", location.leading_comments.strip())
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def _elements(file: descriptor_pb2.FileDescriptorProto) -> Iterator[tuple[str, str, Path_]]:
    for i, message in enumerate(file.message_type):
        yield from _message(message, file.package, (4, i))
    for i, enum in enumerate(file.enum_type):
        yield from _enum(enum, file.package, (5, i))
    for i, service in enumerate(file.service):
        name = f"{file.package}.{service.name}"
        yield name, "service", (6, i)
        yield from ((f"{name}.{m.name}", "method", (6, i, 2, j)) for j, m in enumerate(service.method))


def _message(message: descriptor_pb2.DescriptorProto, scope: str, path: Path_) -> Iterator[tuple[str, str, Path_]]:
    name = f"{scope}.{message.name}"
    yield name, "message", path
    yield from ((f"{name}.{field.name}", "field", (*path, 2, i)) for i, field in enumerate(message.field))
    for i, nested in enumerate(message.nested_type):
        yield from _message(nested, name, (*path, 3, i))
    for i, enum in enumerate(message.enum_type):
        yield from _enum(enum, name, (*path, 4, i))


def _enum(enum: descriptor_pb2.EnumDescriptorProto, scope: str, path: Path_) -> Iterator[tuple[str, str, Path_]]:
    name = f"{scope}.{enum.name}"
    yield name, "enum", path
    yield from ((f"{name}.{value.name}", "value", (*path, 2, i)) for i, value in enumerate(enum.value))
