"""What the options of a field say, read from a contract."""

from __future__ import annotations

from typing import Any

from google.protobuf import message_factory
from google.protobuf.descriptor import EnumValueDescriptor, FieldDescriptor

from mesh import contract
from mesh.contract import Contract


def rules_of(known: Contract, field: FieldDescriptor) -> Any:
    """The field's `buf.validate.field`, or None."""
    return contract.option(field, "FieldOptions", "buf.validate.field", known.pool)


def item_rules(known: Contract, field: FieldDescriptor) -> Any:
    """The rules of one value: of the items if the field is a list, else its own, or None."""
    rules = rules_of(known, field)
    if rules is None or not field.is_repeated:
        return rules
    return rules.repeated.items if rules.repeated.HasField("items") else None


def values_of(known: Contract, field: FieldDescriptor) -> list[EnumValueDescriptor]:
    """The values of the field's enum that its rules allow."""
    rules = item_rules(known, field)
    refused = frozenset(rules.enum.not_in) if rules is not None else frozenset()
    allowed = frozenset(getattr(rules.enum, "in")) if rules is not None else frozenset()
    return [v for v in field.enum_type.values if v.number not in refused and (not allowed or v.number in allowed)]


def behaviors(known: Contract, field: FieldDescriptor) -> frozenset[str]:
    """Names of the field's `google.api.field_behavior`."""
    pool = known.pool
    options: Any = message_factory.GetMessageClass(pool.FindMessageTypeByName("google.protobuf.FieldOptions"))
    parsed = options.FromString(field.GetOptions().SerializeToString())
    names = pool.FindEnumTypeByName("google.api.FieldBehavior").values_by_number
    values = parsed.Extensions[pool.FindExtensionByName("google.api.field_behavior")]
    return frozenset(names[value].name for value in values)


def is_map(field: FieldDescriptor) -> bool:
    """Whether the field is a map, which descriptors show as a list of entries."""
    return field.message_type is not None and field.message_type.GetOptions().map_entry
