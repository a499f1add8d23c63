"""docs/conformance.md says what is measured, and why something does not pass."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from infra.local.layout import Unusable
from tests.conformance import interop, official, page, transcoding
from tests.conformance.mesh import Mesh, running

AGAIN = "docs/conformance.md says something else; if it is meant: .venv/bin/python -m tests.conformance"


@pytest.fixture(scope="module")
def mesh() -> Iterator[Mesh]:
    with running() as made:
        yield made


@pytest.fixture
def _go() -> None:
    try:
        page.tools()
    except Unusable as error:
        pytest.fail(str(error), pytrace=False)


@pytest.mark.parametrize("marker", ["grpcio", "rest"])
def test_the_page_says_what_is_measured(mesh: Mesh, marker: str) -> None:
    """Every result of the page is that of this tree; whatever fails has a reason, and nothing else has one."""
    assert page.SECTIONS[marker](mesh) == page.section(marker), AGAIN


@pytest.mark.usefixtures("_go")
@pytest.mark.parametrize("marker", ["go", "http2"])
def test_the_page_says_what_others_programs_measure(mesh: Mesh, marker: str) -> None:
    """The same for gRPC's own client and for h2spec, which are built from their Go modules."""
    assert page.SECTIONS[marker](mesh) == page.section(marker), AGAIN


def test_the_cases_are_the_whole_suite() -> None:
    """A case that is dropped is noticed."""
    assert (len(interop.CASES), len(official.CASES), len(transcoding.CASES)) == (22, 8, 70)
    assert "Of 145 cases pass" in page.section("http2")
