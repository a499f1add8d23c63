"""The REST and gRPC surface as a page to read: every method, with what it takes, answers and refuses.

Made from the OpenAPI document, so that the two cannot differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from codegen import openapi
from codegen.pages import table
from codegen.project import Project
from gateway.replies import DOMAIN as PLATFORM

Json = dict[str, Any]

_REFUSAL = ("status", "reason", "message")
_ABOUT = """\
# API reference

<!-- Made by `python -m codegen` from protos/; do not edit. -->

Every method that is offered to the outside, over REST and by its gRPC name at the same address. The same for programs:
[openapi.json](../codegen/gen/openapi.json). How errors look: [errors.md](errors.md). Who may call what, inside the mesh
too: [policy.md](policy.md). A star marks what a request must have."""


def render(project: Project) -> str:
    """The page."""
    document = openapi.document(project)
    return "\n\n".join([_ABOUT, *_sections(document), *_any_call(document)]) + "\n"


def _sections(document: Json) -> Iterator[str]:
    for tag in document["tags"]:
        yield f"## {tag['name']}\n\n{tag['description']}"
        for path, verbs in document["paths"].items():
            for verb, operation in verbs.items():
                if operation["tags"] == [tag["name"]]:
                    yield from _operation(document, f"{verb.upper()} {path}", operation)


def _operation(document: Json, call: str, operation: Json) -> Iterator[str]:
    yield f"### `{call}`"
    yield f"{operation['description']}\n\ngRPC: `{operation['x-grpc-method']}`"
    if parameters := operation.get("parameters"):
        yield "Parameters\n\n" + table(("name", "in", "type", "what"), map(_parameter, parameters))
    if body := operation.get("requestBody"):
        yield from _fields(document, "Body", body["content"]["application/json"]["schema"])
    ((kind, answer),) = operation["responses"]["200"]["content"].items()
    title = "Answer" if kind == "application/json" else f"Answer: `{kind}`, each event a message with"
    yield from _fields(document, title, answer["schema"])
    if own := [row for domain, row in _refusals(document, operation) if domain != PLATFORM]:
        yield "Refusals of its own\n\n" + table(_REFUSAL, own)


def _parameter(parameter: Json) -> Iterator[str]:
    yield f"`{parameter['name']}`" + (" *" if parameter["required"] else "")
    yield parameter["in"]
    yield _type(parameter["schema"])
    yield _cell(parameter["description"])


def _fields(document: Json, title: str, schema: Json) -> Iterator[str]:
    """A table of a message's fields, those of messages inside it as `outer.inner`."""
    rows = list(_rows(document, schema, "", ()))
    if rows:
        yield f"{title}\n\n" + table(("field", "type", "what"), rows)


def _rows(document: Json, schema: Json, prefix: str, inside: tuple[str, ...]) -> Iterator[list[str]]:
    whole = _resolved(document, schema)
    for name, field in whole.get("properties", {}).items():
        required = " *" if name in whole.get("required", ()) else ""
        yield [f"`{prefix}{name}`{required}", _type(field), _cell(field.get("description", ""))]
        many = field.get("type") == "array"
        inner = field["items"] if many else field
        if "$ref" in inner and inner["$ref"] not in inside:
            path = f"{prefix}{name}{'[]' if many else ''}."
            yield from _rows(document, {"$ref": inner["$ref"]}, path, (*inside, inner["$ref"]))


def _resolved(document: Json, schema: Json) -> Json:
    if "$ref" not in schema:
        return schema
    *_, kind, name = schema["$ref"].split("/")
    found: Json = document["components"][kind][name]
    return found


def _type(schema: Json) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2].rpartition(".")[2]
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    return " ".join(filter(None, (schema.get("type", "any"), f"({schema['format']})" if "format" in schema else "")))


def _any_call(document: Json) -> Iterator[str]:
    """The refusals of gateway and pipeline, each once."""
    operations = (operation for verbs in document["paths"].values() for operation in verbs.values())
    refusals = [refusal for operation in operations for refusal in _refusals(document, operation)]
    yield "## What any call may be refused with"
    yield table(_REFUSAL, sorted({row for domain, row in refusals if domain == PLATFORM}))


def _refusals(document: Json, operation: Json) -> Iterator[tuple[str, tuple[str, str, str]]]:
    """(domain, row) of each way in which a call fails."""
    for status, response in operation["responses"].items():
        content = _resolved(document, response)["content"].get("application/json", {})
        for reason, example in content.get("examples", {}).items():
            info, message = example["value"]["details"][0], example["value"]["message"]
            yield info["domain"], (status, f"`{reason}`", _cell(message))


def _cell(text: str) -> str:
    """Text that stays inside its cell of a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|")
