"""protovalidate rules as JSON Schema, as far as JSON Schema can say them."""

from __future__ import annotations

import re
from typing import Any

Schema = dict[str, Any]

# As protovalidate itself defines an address (buf/validate/validate.proto, after the HTML standard).
_LABEL = "[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
_EMAIL = rf"^[a-zA-Z0-9.!#$%&'*+/=?^_`{{|}}~-]+@{_LABEL}(?:\.{_LABEL})*$"
_FORMATS = {
    "email": "email",
    "hostname": "hostname",
    "ipv4": "ipv4",
    "ipv6": "ipv6",
    "uri": "uri",
    "uri_ref": "uri-reference",
    "uuid": "uuid",
}
_LENGTHS = {"min_len": ("minLength",), "max_len": ("maxLength",), "len": ("minLength", "maxLength")}
_BOUNDS = {"gte": "minimum", "lte": "maximum", "gt": "exclusiveMinimum", "lt": "exclusiveMaximum"}


def of_text(rules: Any) -> Schema:
    """A string's rules (buf.validate.StringRules)."""
    given = {descriptor.name: value for descriptor, value in rules.ListFields()}
    schema: Schema = {word: given[name] for name, words in _LENGTHS.items() if name in given for word in words}
    for name in given.keys() & _FORMATS.keys():
        schema["format"] = _FORMATS[name]
    return schema | _choices(given) | _patterns(given)


def _choices(given: dict[str, Any]) -> Schema:
    schema: Schema = {}
    if "const" in given:
        schema["const"] = given["const"]
    if "in" in given:
        schema["enum"] = list(given["in"])
    if "not_in" in given:
        schema["not"] = {"enum": list(given["not_in"])}
    return schema


def _patterns(given: dict[str, Any]) -> Schema:
    made = {"prefix": "^{}", "suffix": "{}$", "contains": "{}"}
    patterns = [given["pattern"]] if "pattern" in given else []
    patterns += [made[name].format(re.escape(given[name])) for name in made if name in given]
    patterns += [_EMAIL] if "email" in given else []
    if len(patterns) > 1:
        return {"allOf": [{"pattern": pattern} for pattern in patterns]}
    return {"pattern": patterns[0]} if patterns else {}


def of_number(rules: Any) -> Schema:
    """The rules of a number that JSON writes as a number (buf.validate.Int32Rules and the like)."""
    given = {descriptor.name: value for descriptor, value in rules.ListFields()}
    return {_BOUNDS[name]: value for name, value in given.items() if name in _BOUNDS} | _choices(given)


def of_digits(rules: Any) -> Schema:
    """The bounds of a number that JSON writes as a string (buf.validate.Int64Rules), where they begin at 0 or 1.

    A pattern counts digits: it says the largest power of ten that is within the bounds, and nothing of what is beyond.
    """
    given = {descriptor.name: value for descriptor, value in rules.ListFields()}
    least = given["gt"] + 1 if "gt" in given else given.get("gte")
    most = given["lt"] - 1 if "lt" in given else given.get("lte", 10**18)
    digits = len(str(most)) - 1
    if least not in (0, 1) or digits < 1:
        return {}
    positive = f"[1-9][0-9]{{0,{digits - 1}}}|1{'0' * digits}"
    return {"pattern": f"^({positive})$" if least else f"^(0|{positive})$"}


def of_list(rules: Any) -> Schema:
    """A list's own rules (buf.validate.RepeatedRules)."""
    words = {"min_items": "minItems", "max_items": "maxItems", "unique": "uniqueItems"}
    return {words[descriptor.name]: value for descriptor, value in rules.ListFields() if descriptor.name in words}


def of_map(rules: Any) -> Schema:
    """A map's own rules (buf.validate.MapRules)."""
    words = {"min_pairs": "minProperties", "max_pairs": "maxProperties"}
    return {words[descriptor.name]: value for descriptor, value in rules.ListFields() if descriptor.name in words}


def in_words(rules: Any) -> str:
    """What JSON Schema cannot say: the messages of CEL rules."""
    return " ".join(f"It {rule.message}." for rule in rules.cel if rule.message) if rules is not None else ""
