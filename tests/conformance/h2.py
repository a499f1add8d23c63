"""The cases of h2spec (RFC 9113 and RFC 7541), each port of the gateway, all of them at once."""

from __future__ import annotations

import html
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tests.integration.envoy.rig import Rig

PARTS = (
    *("generic", "hpack", "http2/3", "http2/4", "http2/5.1.1", "http2/5.1.2", "http2/5.3", "http2/5.4", "http2/5.5"),
    *(f"http2/5.1/{number}" for number in range(1, 14)),
    *(f"http2/6.{number}" for number in (1, 2, 3, 4, 5, 7, 8, 9, 10)),
    *("http2/7", "http2/8.1/1", "http2/8.1.2/1", "http2/8.1.2.1", "http2/8.1.2.2", "http2/8.1.2.3", "http2/8.1.2.6"),
    "http2/8.2",
)
"""All cases, in parts that run beside each other: most of the time is spent on waiting for answers."""
PATH = "/v1/books/one:move"
"""A path whose POST takes a body, for the cases that send one."""
PATIENCE = 3
"""Seconds; Envoy keeps a connection that it has given up open for one, so that its last words arrive."""


CASE = re.compile(r'<testcase package="([^"]*)" classname="([^"]*)"[^>]*>(.*?)</testcase>', re.DOTALL)


class Case(NamedTuple):
    """A case by its section and what it does."""

    section: str
    does: str


def run(h2spec: Path, rig: Rig, *, tls: bool) -> Mapping[Case, bool]:
    """Whether each case passes."""
    port = rig.addresses.https_port if tls else rig.addresses.http_port
    options = ("-h", "127.0.0.1", "-p", str(port), "-P", PATH, "-o", str(PATIENCE), *(("-t", "-k") if tls else ()))
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(len(PARTS)) as pool:
        reports = [Path(folder, f"{number}.xml") for number in range(len(PARTS))]
        list(pool.map(lambda part, report: _run(h2spec, part, options, report), PARTS, reports))
        return dict(found for report in reports for found in _read(report))


def _run(h2spec: Path, part: str, options: tuple[str, ...], report: Path) -> None:
    command = [str(h2spec), part, *options, "-j", str(report)]
    subprocess.run(command, capture_output=True, timeout=60, check=False)


def _read(report: Path) -> Iterator[tuple[Case, bool]]:
    """The report is XML but for the bytes of odd frames in it, which no parser takes."""
    for section, does, ended in CASE.findall(report.read_text(errors="replace")):
        yield Case(section, html.unescape(does)), "<failure" not in ended and "<error" not in ended
