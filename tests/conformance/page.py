"""docs/conformance.md: one table for each suite, made of what is measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from codegen.build import ROOT, insert
from codegen.pages import table
from infra import gotools
from tests.conformance import doors, h2, interop, official, reasons, transcoding
from tests.conformance.interop import PASSES
from tests.conformance.mesh import Mesh

PAGE = ROOT / "docs" / "conformance.md"
TOOLS = "conformance"


def tools() -> Path:
    """The folder of the programs in Go. Raises: Unusable if there is no Go to build them with."""
    return gotools.binaries(TOOLS, print)


def grpcio(mesh: Mesh) -> str:
    """gRPC's cases by grpcio, through every door."""
    results: dict[str, list[str]] = {name: [] for name in interop.CASES}
    for door in doors.DOORS:
        with doors.channel(mesh.rig, door) as channel:
            for name in interop.CASES:
                results[name].append(interop.run(name, channel, mesh))
    return _rpc(results)


def go(mesh: Mesh) -> str:
    """gRPC's cases by gRPC's own client in Go, through every door."""
    client = tools() / "client"
    results = {name: [official.run(client, name, door, mesh) for door in doors.DOORS] for name in official.CASES}
    return _rpc(results)


def _rpc(results: Mapping[str, list[str]]) -> str:
    known = {name: why for name, why in reasons.RPC.items() if name in results}
    assert known.keys() == {name for name, got in results.items() if set(got) != {PASSES}}, "reasons.py is behind"
    rows = ((name, *got, known.get(name, "")) for name, got in results.items())
    return f"{_count(results)}\n\n{table(('case', *doors.DOORS, 'why it does not pass'), rows)}\n"


def _count(results: Mapping[str, list[str]]) -> str:
    passing = [sum(got[place] == PASSES for got in results.values()) for place in range(len(doors.DOORS))]
    told = ", ".join(f"{count} ({door})" for door, count in zip(doors.DOORS, passing, strict=True))
    return f"Of {len(results)} cases pass: {told}."


def http2(mesh: Mesh) -> str:
    """What of h2spec fails on either port, and how much of it passes."""
    h2spec = tools() / "h2spec"
    with ThreadPoolExecutor(2) as pool:
        plain, secure = pool.map(lambda tls: h2.run(h2spec, mesh.rig, tls=tls), (False, True))
    failing = [case for case in sorted(plain.keys() | secure.keys()) if not (plain[case] and secure[case])]
    assert set(failing) == reasons.HTTP2.keys(), "reasons.py is behind"
    rows = ((c.section, c.does, _passes(plain[c]), _passes(secure[c]), reasons.HTTP2[c]) for c in failing)
    told = f"Of {len(plain)} cases pass: {sum(plain.values())} (plain), {sum(secure.values())} (TLS). The others:"
    return f"{told}\n\n{table(('section', 'case', 'plain', 'TLS', 'why it does not pass'), rows)}\n"


def _passes(passes: bool) -> str:
    return PASSES if passes else "fails"


def rest(mesh: Mesh) -> str:
    """The cases of google.api.http."""
    with mesh.rig.rest() as client:
        results = [(case, transcoding.run(case, client)) for case in transcoding.CASES]
    odd = [(case.what, got) for case, got in results if (got == PASSES) == bool(case.why)]
    assert not odd, f"a reason too many, or one is missing: {odd}"
    passing = sum(got == PASSES for _, got in results)
    rows = ((case.what, f"`{case.request}`", got, case.why) for case, got in results)
    columns = ("case", "request", "result", "why it does not pass")
    return f"Of {len(results)} cases pass: {passing}.\n\n{table(columns, rows)}\n"


SECTIONS: Mapping[str, Callable[[Mesh], str]] = {"grpcio": grpcio, "go": go, "http2": http2, "rest": rest}
"""What is made of each part of the page, by its marker."""


def section(marker: str) -> str:
    """What stands between the markers now."""
    _, _, rest_ = PAGE.read_text().partition(f"<!-- {marker} -->\n")
    return rest_.partition(f"<!-- /{marker} -->\n")[0]


def write(mesh: Mesh) -> None:
    """Measure everything and write the page."""
    text = PAGE.read_text()
    for marker, measure in SECTIONS.items():
        text = insert(text, marker, measure(mesh))
    PAGE.write_text(text)
