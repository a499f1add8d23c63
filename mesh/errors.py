"""Error classes <-> gRPC status, in one place (AIP-193), and what a caller is told of an error."""

from __future__ import annotations

from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from mesh import limits, model
from mesh.call import Call, Proceed
from mesh.contract import Method

CODES: dict[type[model.Error], int] = {
    model.Invalid: code_pb2.INVALID_ARGUMENT,
    model.DeadlineExceeded: code_pb2.DEADLINE_EXCEEDED,
    model.NotFound: code_pb2.NOT_FOUND,
    model.AlreadyExists: code_pb2.ALREADY_EXISTS,
    model.Denied: code_pb2.PERMISSION_DENIED,
    model.Exhausted: code_pb2.RESOURCE_EXHAUSTED,
    model.FailedPrecondition: code_pb2.FAILED_PRECONDITION,
    model.Conflict: code_pb2.ABORTED,
    model.Unavailable: code_pb2.UNAVAILABLE,
    model.Unauthenticated: code_pb2.UNAUTHENTICATED,
}
# What a peer that goes away leaves behind counts as unavailable.
CLASSES = {code: cls for cls, code in CODES.items()} | {code_pb2.CANCELLED: model.Unavailable}


class Internal(model.Error):
    """Something went wrong on our side; it is in our log under the request id."""


CODES[Internal] = code_pb2.INTERNAL
PLATFORM = frozenset(cls.reason for cls in CODES) | {
    "REQUEST_ID_REUSED",
    "REQUEST_IN_PROGRESS",
    "ANSWER_NOT_KEPT",
    "SESSION_ENDED",
    "MEMBERSHIP_ENDED",
}
"""Reasons that any method may answer: those of the pipeline and of what all services share."""
PASSING = (model.Unavailable, model.DeadlineExceeded, model.Exhausted)
"""What another service may answer that is true of the whole call as well: come again later."""


def mapped(method: Method, proceed: Proceed) -> Proceed:
    """Whatever is raised becomes what the caller is told, with the cause beside it for the log."""

    async def step(request: bytes, call: Call) -> bytes:
        try:
            return await proceed(request, call)
        except Exception as error:
            told = what_is_told(method, _alone(error))
            if told is error:
                raise
            raise told from error

    return step


def what_is_told(method: Method, error: Exception) -> model.Error:
    """`error` itself if the method may answer it, else Internal.

    A method may answer the reasons that its contract declares and those of the platform. Of another
    service's refusals, a caller who knows nothing of that service hears only what is declared or passing.
    """
    if not isinstance(error, model.Error):
        return Internal()
    own = error.reason in PLATFORM and not error.domain
    if own or error.reason in method.reasons:
        return error
    return _without_reason(error) if isinstance(error, PASSING) else Internal()


def _without_reason(error: model.Error) -> model.Error:
    """Come again later, in the platform's words: whose reason it was is not for this caller."""
    told = base(error)()
    told.retry_after = error.retry_after
    return told


def _alone(error: Exception) -> Exception:
    """The one error in a task group's bundle."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def base(error: model.Error) -> type[model.Error]:
    """The class of the table to which `error` belongs."""
    return next((cls for cls in type(error).__mro__ if cls in CODES), Internal)


def to_status(error: model.Error, domain: str) -> status_pb2.Status:
    """What a caller is told: code, message, ErrorInfo, and what else helps."""
    status = status_pb2.Status(code=CODES[base(error)], message=str(error))
    for detail in _details(error, domain):
        status.details.add().Pack(detail)
    return status


def _details(error: model.Error, domain: str) -> list[Message]:
    details: list[Message] = [error_details_pb2.ErrorInfo(reason=error.reason, domain=domain, metadata=error.metadata)]
    if error.violations:
        told = error.violations[: limits.VIOLATIONS_TOLD]
        details.append(error_details_pb2.BadRequest(field_violations=map(_field_violation, told)))
    if error.retry_after is not None:
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(round(error.retry_after * 1000))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    return details


def _field_violation(violation: model.Violation) -> error_details_pb2.BadRequest.FieldViolation:
    return error_details_pb2.BadRequest.FieldViolation(
        field=violation.field[: limits.TEXT_TOLD], description=violation.description[: limits.TEXT_TOLD]
    )


def from_status(code: int, message: str, status: status_pb2.Status) -> model.Error:
    """The typed error that another service's status stands for: the class of the table, with all details."""
    error: model.Error = CLASSES.get(code, Internal)(message)
    error.domain = "mesh.tulle"
    for detail in status.details:
        _take(error, detail)
    return error


def _take(error: model.Error, detail: any_pb2.Any) -> None:
    info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    if detail.Unpack(info):
        error.reason, error.domain, error.metadata = info.reason, info.domain or error.domain, dict(info.metadata)
    elif detail.Unpack(bad):
        error.violations = tuple(model.Violation(v.field, v.description) for v in bad.field_violations)
    elif detail.Unpack(retry):
        error.retry_after = retry.retry_delay.ToTimedelta().total_seconds()
