"""gRPC's interop cases with gRPC's own client in Go, built from its pinned module."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tests.conformance.doors import FLAGS
from tests.conformance.interop import PASSES
from tests.conformance.mesh import Mesh

CASES = (
    *("empty_unary", "large_unary", "server_streaming", "status_code_and_message", "special_status_message"),
    *("custom_metadata", "unimplemented_method", "unimplemented_service"),
)
"""What does not begin with a stream of requests. How a refused one of those ends is up to the client's timing."""
FATAL = re.compile(r"FATAL: \[interop\] (.*)")
CODE = re.compile(r"\bcode = (\w+)|= _, (\w+), want")


def run(client: Path, case: str, door: str, mesh: Mesh) -> str:
    """`passes`, or what the client got instead."""
    flags = [f"-{name}={value}" for name, value in {**FLAGS[door](mesh.rig), "test_case": case}.items()]
    done = subprocess.run([client, *flags], capture_output=True, text=True, timeout=30, check=False)
    if done.returncode == 0:
        return PASSES
    said = FATAL.search(done.stderr)
    assert said is not None, done.stderr
    code = CODE.search(said[1])
    return (code[1] or code[2]) if code else said[1]
