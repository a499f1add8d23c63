"""Reading answers of the REST surface."""

from __future__ import annotations

import httpx


def refusal(answer: httpx.Response) -> tuple[int, str]:
    """The HTTP status and the reason (google.rpc.ErrorInfo) of a refusal."""
    infos = [detail["reason"] for detail in answer.json().get("details", []) if "domain" in detail]
    return answer.status_code, infos[0] if infos else ""
