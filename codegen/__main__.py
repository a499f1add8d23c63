"""`python -m codegen [--check]`: compile the contract into everything that is generated."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping

from codegen import build
from codegen.compile import CompileError


def main() -> int:
    """Write what is generated, or with --check only say what is not as the contract has it."""
    parser = argparse.ArgumentParser(prog="python -m codegen", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a generated file is stale")
    only_check = parser.parse_args().check
    try:
        built = build.build()
    except (build.BadContract, CompileError, SyntaxError) as error:
        print(error, file=sys.stderr)
        return 1
    return _check(built) if only_check else _write(built)


def _write(built: Mapping[str, bytes]) -> int:
    changed = [*build.stale(built), *build.stray(built)]
    build.write(built)
    print("\n".join(changed) if changed else "nothing has changed")
    return 0


def _check(built: Mapping[str, bytes]) -> int:
    lines = [f"{name}: is stale or missing" for name in build.stale(built)]
    lines += [f"{name}: is made by nothing" for name in build.stray(built)]
    if lines:
        print(*lines, "    fix: run `python -m codegen` and commit what it changes", sep="\n", file=sys.stderr)
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
