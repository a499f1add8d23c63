"""`python -m faults.planted [PLANT]`: the stack as `./tulle up` runs it, one service with a planted bug."""

from __future__ import annotations

import sys
from dataclasses import replace

from faults.plants import PLANTS
from infra.local import stack
from infra.local.layout import Layout
from infra.local.unit import Unit
from infra.local.units import units
from services import topology


def main() -> None:
    """Run it until SIGTERM."""
    if name := sys.argv[1] if len(sys.argv) > 1 else "":
        vars(stack)["units"] = lambda layout: _with_plant(layout, name)
    stack.main()


def _with_plant(layout: Layout, name: str) -> tuple[Unit, ...]:
    workload = topology.WORKLOAD[PLANTS[name].workload]
    command = [sys.executable, "-m", "faults.plants", name, workload.module]
    made = units(layout)
    return tuple(replace(unit, command=lambda: command) if unit.name == workload.name else unit for unit in made)


if __name__ == "__main__":
    main()
