"""The REST surface is what its OpenAPI document says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest_asyncio
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from requests.adapters import HTTPAdapter
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from mesh.contract import NONE, Method, contract
from tests.e2e.cast import Cast
from tests.e2e.doors import Edge, new_address
from tests.e2e.matrix import Holder

DOCUMENT = Path(__file__).parent.parent.parent / "codegen" / "gen" / "openapi.json"
EXAMPLES = 15
"""For each operation; under the tightest rate limit, which counts by user or address."""
everything = schemathesis.openapi.from_path(str(DOCUMENT))
schema = everything.exclude(func=lambda context: _streams(context.operation.definition.raw))
"""What answers and is done: a stream has no end worth waiting for, and tests of its own (test_streams.py)."""


def _streams(operation: Mapping[str, Any]) -> bool:
    return "text/event-stream" in operation["responses"]["200"]["content"]


class _From(HTTPAdapter):
    """Comes from a client address of its own."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, source_address=(new_address(), 0), **kwargs)


def _session() -> requests.Session:
    session = requests.Session()
    session.mount("http://", _From())
    return session


@pytest_asyncio.fixture(loop_scope="session")
async def holders(cast: Cast) -> Mapping[str, Mapping[str, str]]:
    """The credentials for each method: of somebody whom it is for, just logged in."""
    for person in cast.leaving.values():
        await person.return_()
    return {method.path: _credentials(method, cast) for method in contract().methods}


def _credentials(method: Method, cast: Cast) -> Mapping[str, str]:
    if method.end_user == NONE:
        return {}
    return cast.leaving[Holder.ADMINISTRATOR if method.roles else Holder.USER].bearer


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
    derandomize=True,
)
def test_answers_are_documented(case: schemathesis.Case, edge: Edge, holders: Mapping[str, Mapping[str, str]]) -> None:
    """Whatever is sent, the answer's status, type and body are documented, and never a fault of the server."""
    with _session() as session:
        case.call_and_validate(
            base_url=f"http://{edge.host}:{edge.http_port}",
            headers=dict(holders[case.operation.definition.raw["x-grpc-method"]]),
            session=session,
            checks=[
                not_a_server_error,
                status_code_conformance,
                content_type_conformance,
                response_schema_conformance,
            ],
        )
