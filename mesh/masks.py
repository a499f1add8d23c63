"""Update masks (AIP-134, AIP-161): which fields of a resource a request changes."""

from __future__ import annotations

import functools

from google.api import field_behavior_pb2
from google.protobuf.descriptor import Descriptor
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from mesh.model import Invalid, Violation

EVERYTHING = "*"


class UnknownField(Invalid):
    """The update mask names a field that does not exist."""


def changing(resource: Message, mask: FieldMask) -> frozenset[str]:
    """Names of the fields that an update with `resource` and `mask` changes.

    Without a mask, those that are present; `*` names all. Output-only fields and the etag are
    never among them, even if named. Only fields of the resource itself can be named, not parts of them.

    Raises: UnknownField.
    """
    known, changeable = _fields(resource.DESCRIPTOR)
    _refuse([path for path in mask.paths if path not in known and path != EVERYTHING], resource.DESCRIPTOR.name)
    if not mask.paths:
        return changeable & {field.name for field, _ in resource.ListFields()}
    return changeable if EVERYTHING in mask.paths else changeable & set(mask.paths)


def _refuse(unknown: list[str], resource: str) -> None:
    if unknown:
        what = f"is not a field of {resource}"
        raise UnknownField(violations=tuple(Violation("update_mask", f"`{path}` {what}") for path in unknown))


@functools.cache
def _fields(resource: Descriptor) -> tuple[frozenset[str], frozenset[str]]:
    output_only = field_behavior_pb2.FieldBehavior.OUTPUT_ONLY
    known = {field.name: field.GetOptions() for field in resource.fields}
    readable = {name for name, options in known.items() if output_only in _behaviours(options)}
    return frozenset(known), frozenset(known) - readable - {"etag"}


def _behaviours(options: Message) -> list[int]:
    return list(options.Extensions[field_behavior_pb2.field_behavior])
