"""`python -m tests.conformance`: measure again, and write docs/conformance.md."""

from __future__ import annotations

from tests.conformance import page
from tests.conformance.mesh import running

with running() as mesh:
    page.write(mesh)
