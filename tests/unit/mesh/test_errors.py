"""Errors, and what a caller is told of them."""

from __future__ import annotations

from typing import Any

import pytest
from google.rpc import code_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st

from mesh import errors, limits, model
from mesh.model import Denied, Exhausted, Invalid, NotFound, Unauthenticated, Unavailable, Violation
from tests.unit.mesh.echo import ECHO, Echo, EchoLost, ask

CLASSES = sorted(errors.CODES, key=lambda cls: cls.__name__)


def remote(error: model.Error) -> model.Error:
    """The error as another service's answer brings it."""
    return errors.from_status(*parts(error))


def parts(error: model.Error) -> tuple[int, str, status_pb2.Status]:
    status = errors.to_status(error, "auth.tulle")
    return status.code, status.message, status


@pytest.mark.parametrize("cls", CLASSES)
def test_each_class_has_a_status(cls: type[model.Error]) -> None:
    """Every class survives the wire as itself."""
    assert type(remote(cls("why"))) is cls


def test_all_classes_are_in_the_table() -> None:
    """The model has no class without a status, and no two share one."""
    assert {cls for cls in model.Error.__subclasses__() if cls.__module__ == "mesh.model"} < set(errors.CODES)
    assert len(set(errors.CODES.values())) == len(errors.CODES)


@given(
    st.text(max_size=20),
    st.dictionaries(st.text(alphabet="abc", min_size=1, max_size=5), st.text(max_size=10), max_size=3),
    st.floats(0, 100) | st.none(),
    st.lists(st.builds(Violation, st.text(max_size=20), st.text(max_size=20)), max_size=5),
)
def test_details_survive_the_wire(
    message: str, metadata: dict[str, str], retry: float | None, violations: list[Violation]
) -> None:
    """Reason, domain, metadata, violations and the time to come again arrive as they were sent."""
    arrived = remote(EchoLost(message, violations=tuple(violations), retry_after=retry, **metadata))
    assert type(arrived) is NotFound
    assert (arrived.reason, arrived.domain, arrived.metadata) == ("ECHO_LOST", "auth.tulle", metadata)
    assert arrived.violations == tuple(violations)
    assert arrived.retry_after == (None if retry is None else pytest.approx(retry, abs=0.001))


def test_what_is_told_is_bounded() -> None:
    """A refusal fits into the headers of every hop, whatever was wrong."""
    violations = tuple(Violation("f" * 9000, "d" * 9000) for _ in range(500))
    status = errors.to_status(Invalid(violations=violations), "auth.tulle")
    assert status.ByteSize() < limits.VIOLATIONS_TOLD * (2 * limits.TEXT_TOLD + 20) + 500


@pytest.mark.parametrize(
    ("code", "cls"),
    [(code_pb2.CANCELLED, Unavailable), (code_pb2.UNKNOWN, errors.Internal), (code_pb2.UNIMPLEMENTED, errors.Internal)],
)
def test_statuses_that_we_never_send_have_a_class(code: int, cls: type[model.Error]) -> None:
    """What proxies and broken peers answer is an error of ours as well, said by somebody else."""
    arrived = errors.from_status(code, "", status_pb2.Status())
    assert (type(arrived), bool(arrived.domain)) == (cls, True)


class TooManyEchoes(Exhausted):
    """Echo less."""


DECLARED = {"reasons": frozenset({"ECHO_LOST"})}


@pytest.mark.parametrize(
    ("raised", "policy", "told"),
    [
        (EchoLost(), DECLARED, "ECHO_LOST"),
        (EchoLost(), {}, "INTERNAL"),
        (NotFound(), {}, "NOT_FOUND"),
        (Exhausted(), {}, "EXHAUSTED"),
        (ValueError("ada@example.com"), DECLARED, "INTERNAL"),
        (TimeoutError(), {}, "INTERNAL"),
        (ExceptionGroup("", [EchoLost()]), DECLARED, "ECHO_LOST"),
        (ExceptionGroup("", [EchoLost(), EchoLost()]), DECLARED, "INTERNAL"),
        (remote(EchoLost()), DECLARED, "ECHO_LOST"),
        (remote(EchoLost()), {}, "INTERNAL"),
        (remote(Denied()), {}, "INTERNAL"),
        (remote(Unauthenticated()), {}, "INTERNAL"),
        (remote(Unavailable()), {}, "UNAVAILABLE"),
        (remote(Exhausted()), {}, "EXHAUSTED"),
        (TooManyEchoes(), {}, "EXHAUSTED"),
        (TooManyEchoes(), {"reasons": frozenset({"TOO_MANY_ECHOES"})}, "TOO_MANY_ECHOES"),
        (remote(TooManyEchoes()), {}, "EXHAUSTED"),
    ],
)
async def test_a_method_answers_what_it_declares(raised: Exception, policy: dict[str, Any], told: str) -> None:
    """Declared reasons and the platform's are told; of others' refusals only what is declared or will pass."""
    echo = Echo(policy=policy)
    echo.servicer.raises = {"fail": raised}
    with pytest.raises(model.Error) as refused:
        await echo.stub().Echo(ask("fail"))
    assert refused.value.reason == told


async def test_what_is_unexpected_is_told_with_a_fixed_text() -> None:
    """Nobody outside learns what broke: the text is always the same, the log has the story."""
    echo = Echo()
    echo.servicer.raises = {"fail": ValueError("ada@example.com")}
    with pytest.raises(errors.Internal) as refused:
        await echo.stub().Echo(ask("fail"))
    echo.telemetry.flush()
    (line,) = echo.lines
    assert str(refused.value) == "Something went wrong on our side; it is in our log under the request id."
    assert '"error":"ValueError"' in line
    assert "echo.py" in line
    assert "ada@" not in line


async def test_reasons_of_the_mesh_need_no_declaration() -> None:
    """The platform's reasons are those of its table and of what all services share."""
    assert {"UNAUTHENTICATED", "INVALID", "SESSION_ENDED", "REQUEST_IN_PROGRESS"} <= errors.PLATFORM
    assert "ECHO_LOST" not in errors.PLATFORM
    assert ECHO.reasons == frozenset()
