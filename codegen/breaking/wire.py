"""Breaks on the wire, in JSON and in generated code: what buf finds between two descriptor sets."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from codegen.breaking.breaks import Break
from codegen.rules.style import BUF

# Of idempotency_level only one direction is a break, which methods.py tells with those whom it hurts.
_RULES = {"use": ["PACKAGE", "WIRE_JSON"], "except": ["RPC_SAME_IDEMPOTENCY_LEVEL"]}
_CONFIG = json.dumps({"version": "v2", "breaking": _RULES})


def breaks(old: bytes, new: bytes) -> Iterator[Break]:
    """buf's findings. `new`: with source positions."""
    for found in _found(old, new):
        where = f"protos/{found['path']}:{found.get('start_line', 1)}" if "path" in found else ""
        yield Break(
            subject=_subject(found["message"]),
            aspect=found["type"],
            what=found["message"],
            whom="everybody who reads or writes it: callers over gRPC and REST, SDKs, consumers, rows of outboxes",
            instead="leave it, marked `deprecated`, and add something new beside it",
            where=where,
        )


def _subject(message: str) -> str:
    """What a message of buf's speaks of: the things that it quotes."""
    return " ".join(re.findall(r'"([^"]+)"', message)[:3]) or message


def _found(old: bytes, new: bytes) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder, "old.binpb"), Path(folder, "new.binpb")
        before.write_bytes(old)
        after.write_bytes(new)
        command = [str(BUF), "breaking", str(after), "--against", str(before), "--config", _CONFIG]
        command += ["--path", "tulle", "--error-format", "json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode and not done.stdout:
        raise RuntimeError(f"buf breaking failed: {done.stderr.strip()}")
    return [json.loads(line) for line in done.stdout.splitlines()]
