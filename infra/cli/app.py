"""What all verbs share: the application, the consoles, how failures are told."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from typing import Any, NoReturn

import typer
from pydantic import ValidationError
from rich.console import Console

from infra.local.control import NotRunning
from infra.local.layout import Layout, Unusable, layout
from infra.migrations import MigrationFailed
from infra.settings import StackSettings
from mesh.model import Error

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Tulle: a backend platform on this machine. Start with `./tulle up`.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Say in a sentence why a verb cannot work, and end with status 1."""
    try:
        yield
    except (Unusable, NotRunning, MigrationFailed) as error:
        _refuse(str(error))
    except Error as error:
        _refuse("\n  ".join([str(error), *(f"{bad.field}: {bad.description}" for bad in error.violations)]))
    except ValidationError as error:
        _refuse("; ".join(f"TULLE_{str(problem['loc'][0]).upper()}: {problem['msg']}" for problem in error.errors()))


def _refuse(why: str) -> NoReturn:
    err.print("[red]✗[/red]", end=" ")
    err.print(why, markup=False, soft_wrap=True)
    sys.exit(1)


def stack() -> Layout:
    """The stack that the settings name. Raises: Unusable."""
    return layout(StackSettings())


def print_json(value: Any) -> None:
    """Print for programs."""
    print(json.dumps(value, indent=2))
