"""`./tulle VERB`: the one door."""

from __future__ import annotations

import signal

INTERRUPTED = signal.getsignal(signal.SIGINT)
if INTERRUPTED is not signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C while we import ends us without a traceback.

from infra.cli import platform  # noqa: E402  # isort: skip (the help lists verbs as they come: what all need is first)
from infra.cli import development, events, istio, new, notifications, operations  # noqa: E402
from infra.cli.app import app, told  # noqa: E402


def main() -> None:
    """Run a verb; whatever cannot work says so in a sentence and ends with status 1."""
    signal.signal(signal.SIGINT, INTERRUPTED)
    with told():
        app(prog_name="./tulle")


for module in (platform, operations, events, notifications, istio, development, new):
    assert module
if __name__ == "__main__":
    main()
