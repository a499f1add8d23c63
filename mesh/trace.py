"""W3C trace context (https://www.w3.org/TR/trace-context/)."""

from __future__ import annotations

import random
import re

_well_formed = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}").fullmatch


def valid(traceparent: str) -> bool:
    """Whether it is a well-formed `traceparent` of version 00."""
    return _well_formed(traceparent) is not None


def child(traceparent: str, ratio: float) -> str:
    """The trace context of a new span under `traceparent`, or of a new trace of which `ratio` are sampled.

    A trace that nobody records is passed on as it is.
    """
    if not _well_formed(traceparent):
        return f"00-{random.getrandbits(128) | 1:032x}-{_span()}-{'01' if random.random() < ratio else '00'}"
    return f"{traceparent[:36]}{_span()}{traceparent[52:]}" if sampled(traceparent) else traceparent


def _span() -> str:
    return f"{random.getrandbits(64) | 1:016x}"


def sampled(traceparent: str) -> bool:
    """Whether the trace is recorded."""
    return bool(traceparent) and traceparent[-1] in "13579bdf"


def trace_id(traceparent: str) -> str:
    """Its trace, empty if there is none."""
    return traceparent[3:35]


def span_id(traceparent: str) -> str:
    """Its span, empty if it is not well-formed."""
    return traceparent[36:52] if valid(traceparent) else ""
