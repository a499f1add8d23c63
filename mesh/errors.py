"""Error classes <-> gRPC status, in one place (AIP-193)."""

from __future__ import annotations

from google.protobuf import any_pb2, duration_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2

from mesh import model

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
CLASSES = {code: cls for cls, code in CODES.items()}


class Internal(model.Error):
    """Something went wrong on our side; it is in our log under the request id."""


CODES[Internal] = code_pb2.INTERNAL
PLATFORM = frozenset(cls.reason for cls in CODES) | {
    "REQUEST_ID_REUSED",
    "REQUEST_IN_PROGRESS",
    "ANSWER_NOT_KEPT",
    "SESSION_ENDED",
}
"""Reasons that any method may answer: those of the pipeline and of what all services share."""


def base(error: model.Error) -> type[model.Error]:
    """The class of the table to which `error` belongs."""
    return next(cls for cls in type(error).__mro__ if cls in CODES)


def to_status(error: model.Error, domain: str) -> status_pb2.Status:
    """What a caller is told: code, message, ErrorInfo, and what else helps."""
    status = status_pb2.Status(code=CODES[base(error)], message=str(error))
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=domain, metadata=error.metadata)
    details: list[object] = [info]
    if error.violations:
        details.append(
            error_details_pb2.BadRequest(
                field_violations=[
                    error_details_pb2.BadRequest.FieldViolation(field=v.field, description=v.description)
                    for v in error.violations
                ]
            )
        )
    if error.retry_after is not None:
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(round(error.retry_after * 1000))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    for detail in details:
        status.details.add().Pack(detail)  # type: ignore[arg-type]
    return status


def from_status(code: int, message: str, status: status_pb2.Status) -> model.Error:
    """The typed error that a status stands for: the class of the table, with reason, metadata and violations."""
    error = CLASSES.get(code, Internal)(message)
    for detail in status.details:
        _take(error, detail)
    return error


def _take(error: model.Error, detail: any_pb2.Any) -> None:
    info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    if detail.Unpack(info):
        error.reason, error.domain, error.metadata = info.reason, info.domain, dict(info.metadata)  # type: ignore[misc]
    elif detail.Unpack(bad):
        error.violations = tuple(model.Violation(v.field, v.description) for v in bad.field_violations)
    elif detail.Unpack(retry):
        error.retry_after = retry.retry_delay.ToTimedelta().total_seconds()
