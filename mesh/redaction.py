"""Messages as the log may show them: without what the contract marks as personal or secret."""

from __future__ import annotations

import functools
from collections.abc import MutableMapping
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from mesh.contract import contract, sensitive

HIDDEN = "[hidden]"


def redacted(message: Message) -> dict[str, Any]:
    """The fields that are set, by name; marked ones are HIDDEN."""
    hidden = _hidden(message.DESCRIPTOR)
    return {
        field.name: HIDDEN if field.name in hidden else _shown(field, value) for field, value in message.ListFields()
    }


def redacted_values(logger: Any, name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """For structlog: messages among the values of a line are redacted."""
    return {key: redacted(value) if isinstance(value, Message) else value for key, value in event.items()}


@functools.cache
def _hidden(message: Descriptor) -> frozenset[str]:
    return frozenset(field.name for field in message.fields if sensitive(field, contract().pool))


def _shown(field: FieldDescriptor, value: Any) -> Any:
    if field.message_type is None:
        return list(value) if field.is_repeated else value
    if field.message_type.GetOptions().map_entry:
        inner = field.message_type.fields_by_name["value"]
        return {str(key): _shown(inner, item) for key, item in value.items()}
    return [redacted(item) for item in value] if field.is_repeated else redacted(value)
