"""`./tulle VERB`: the one door."""

from __future__ import annotations

from infra.cli import platform  # isort: skip (the help lists verbs as they come: what everybody needs is first)
from infra.cli import development, istio, new, operations
from infra.cli.app import app, told


def main() -> None:
    """Run a verb; whatever cannot work says so in a sentence and ends with status 1."""
    with told():
        app(prog_name="./tulle")


for module in (platform, operations, istio, development, new):
    assert module
if __name__ == "__main__":
    main()
