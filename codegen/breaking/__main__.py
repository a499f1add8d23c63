"""`python -m codegen.breaking [--json]`: what the contract breaks since the last release."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from codegen import compile as compiler
from codegen import project
from codegen.breaking import baseline, events, fields, methods, wire
from codegen.breaking.baseline import BadBaseline, Baseline
from codegen.breaking.breaks import Break, Change
from codegen.build import ROOT
from codegen.compile import CompileError
from mesh import contract

ASPECTS = (*methods.ASPECTS, *events.ASPECTS, *fields.ASPECTS)


def main() -> int:
    """Tell every break that no exception allows; 1 if there is one."""
    parser = argparse.ArgumentParser(prog="./tulle breaking", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print for programs")
    try:
        last = baseline.load(ROOT)
        found = since(last, ROOT)
    except (BadBaseline, CompileError) as error:
        print(error, file=sys.stderr)
        return 1
    breaks, unused = baseline.judged(found, last.exceptions)
    told = _json if parser.parse_args().json else _text
    told(last, breaks, unused)
    return 1 if breaks or unused else 0


def since(last: Baseline, root: Path) -> list[Break]:
    """What the protos at `root` break since the release `last`. Raises: CompileError."""
    with tempfile.TemporaryDirectory() as scratch:
        compiled = compiler.descriptor_set(root / "protos", Path(scratch))
    return compare(last.contract, compiled, root)


def compare(old: bytes, new: bytes, root: Path) -> list[Break]:
    """What the descriptor set `new`, compiled from the protos at `root`, breaks of `old`."""
    change = Change(contract.load(old), project.load(new, root))
    return sorted({*wire.breaks(old, new), *(one for aspect in ASPECTS for one in aspect(change))})


def _json(last: Baseline, breaks: list[Break], unused: list[str]) -> None:
    told = {"since": last.version, "breaks": [one.told() for one in breaks], "unused_exceptions": unused}
    print(json.dumps(told, indent=2))


def _text(last: Baseline, breaks: list[Break], unused: list[str]) -> None:
    for one in breaks:
        print(one, file=sys.stderr)
    for name in unused:
        print(f'{baseline.FOLDER}/exceptions.toml: ["{name}"] allows nothing; delete it', file=sys.stderr)
    if breaks:
        print(f"If a break is meant: name it with a reason in {baseline.FOLDER}/exceptions.toml.", file=sys.stderr)
    elif not unused:
        print(f"nothing is broken since {last.version}")


if __name__ == "__main__":
    sys.exit(main())
