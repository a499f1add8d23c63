"""`python -m codegen`: compile the contract into everything that is generated."""

from __future__ import annotations

import tempfile
from pathlib import Path

from codegen import compile as compiler

GEN = compiler.ROOT / "codegen" / "gen"


def main() -> None:
    GEN.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        (GEN / "contract.binpb").write_bytes(compiler.run(compiler.PROTOS, Path(scratch), GEN))


if __name__ == "__main__":
    main()
