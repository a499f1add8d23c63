"""The README is true: what it tells people to paste works as pasted."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from infra.settings import development_environment
from tests.e2e.stacks import Stack

ROOT = Path(__file__).parent.parent.parent


def test_the_journey_works_as_pasted(stack: Stack) -> None:
    """Every answer of README's journey is a success but the two that it says are refused; what is to come comes."""
    block = re.search(r"<!-- journey -->\n```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert block
    settings = stack.layout.settings
    script = block[1].replace("http://127.0.0.1:8080", stack.layout.public_url)
    told = {
        "TULLE_DATA_DIR": str(settings.data_dir),
        "TULLE_HTTP_PORT": str(settings.http_port),
        "TULLE_HTTPS_PORT": str(settings.https_port),
    }
    done = subprocess.run(
        ["bash", "-e"],
        input=script,
        cwd=ROOT,
        env=development_environment() | told,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    signed_up, verified, profile, changed, misspelt, method, paid, denied = answers
    assert signed_up == {}
    assert profile["userId"] == changed["userId"] == verified["userId"]
    assert (changed["handle"], changed["timeZone"]) == ("ana", "Europe/Lisbon")
    assert "displayNam" in misspelt["message"]
    assert method["last4"] == "4242"
    assert (paid["invoice"]["state"], paid["invoice"]["currency"]) == ("INVOICE_STATE_PAID", "EUR")
    assert f"received €{int(paid['invoice']['totalMinor']) / 100:.2f} for invoice" in done.stdout
    assert '"title":"Invoice paid"' in done.stdout
    assert (ROOT / ".tulle" / "invoice.pdf").read_bytes().startswith(b"%PDF-")
    assert denied["code"] == 7
    assert "is an administrator" in done.stderr
