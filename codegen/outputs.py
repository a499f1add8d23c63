"""Everything that is generated from the contract besides the stubs: one row each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from codegen import openapi, pages
from codegen.project import Project


@dataclass(frozen=True, slots=True)
class Output:
    """A file, and the pure function that makes it.

    `marker`: only the text between `<!-- marker -->` and `<!-- /marker -->` is made; the rest is by hand.
    """

    path: str
    render: Callable[[Project], str]
    marker: str = ""


OUTPUTS = (
    Output("codegen/gen/openapi.json", openapi.render),
    Output("docs/policy.md", pages.policy),
)
