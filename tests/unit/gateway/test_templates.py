"""Path templates of google.api.http."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import templates
from gateway.templates import BadTemplate

NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,6}", fullmatch=True)
SEGMENTS = st.one_of(NAMES, NAMES.map("{{{}}}".format), NAMES.map("{{{}=**}}".format), st.just("*"))
PATHS = st.tuples(st.lists(SEGMENTS, min_size=1, max_size=4), st.one_of(st.just(""), NAMES.map(":{}".format))).map(
    lambda parts: "/" + "/".join(parts[0]) + parts[1]
)


@given(PATHS, PATHS)
def test_collision_is_symmetric(one: str, other: str) -> None:
    """If one path hides another, the other hides the one."""
    a, b = templates.parse(one), templates.parse(other)
    assert a.collides(b) == b.collides(a)


@given(PATHS, st.data())
def test_names_of_variables_tell_nothing_apart(path: str, data: st.DataObject) -> None:
    """Two paths that differ in the names of their variables collide."""
    template = templates.parse(path)
    renamed = path
    for name in template.variables:
        renamed = renamed.replace(f"{{{name}", f"{{{data.draw(NAMES)}x", 1)
    assert template.collides(templates.parse(renamed))


@given(PATHS)
def test_a_verb_of_its_own_tells_paths_apart(path: str) -> None:
    """The custom verb after the colon is part of the path."""
    template = templates.parse(path)
    other = templates.parse(path + ("x" if template.verb else ":x"))
    assert not template.collides(other)


@pytest.mark.parametrize("path", ["", "v1/a", "/", "/v1//a", "/v1/{", "/v1/{A}", "/v1/{a", "/v1/a b", "/v1/a/"])
def test_what_is_no_template_is_refused(path: str) -> None:
    """A path that google.api.http could not read is refused."""
    with pytest.raises(BadTemplate):
        templates.parse(path)


def test_openapi_knows_no_patterns() -> None:
    """OpenAPI gets the names of variables only."""
    assert templates.openapi("/v1/{name=shops/*}/orders/{order_id}:pay") == "/v1/{name}/orders/{order_id}:pay"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/users/{user_id}", "^/v1/users/[^/]+$"),
        ("/v1/{name=rooms/*/shapes/**}:make", "^/v1/rooms/[^/]+/shapes/.*:make$"),
        ("/.well-known/x+y", "^/%.well%-known/x%+y$"),
    ],
)
def test_a_template_becomes_a_pattern_of_lua(path: str, expected: str) -> None:
    """Variables match segments; everything else is literal."""
    assert templates.pattern(path) == expected
