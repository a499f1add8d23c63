"""What an Envoy itself tells a caller: a google.rpc.Status, as a service would."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass

from google.protobuf import duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from mesh import hops
from mesh.envoy import Config

DETAILS = "grpc-status-details-bin"


@dataclass(frozen=True, slots=True)
class Refusal:
    """What is told for an HTTP status of Envoy's: codes of google.rpc over REST and over gRPC, message, reason.

    `more`: appended to the message where it is text, such as `%LOCAL_REPLY_BODY%`. `pause`: when to come
    again, in seconds.
    """

    status: int
    code: int
    message: str
    reason: str
    grpc: int = 0
    more: str = ""
    pause: float = 0.0

    def binary(self, domain: str) -> str:
        """The status with its details, as gRPC carries it."""
        status = status_pb2.Status(code=self.grpc or self.code, message=self.message)
        for detail in self._details(domain):
            status.details.add().Pack(detail)
        return base64.b64encode(status.SerializeToString(deterministic=True)).decode()

    def _details(self, domain: str) -> Iterable[Message]:
        yield error_details_pb2.ErrorInfo(reason=self.reason, domain=domain)
        if self.pause:
            delay = duration_pb2.Duration()
            delay.FromMilliseconds(round(self.pause * 1000))
            yield error_details_pb2.RetryInfo(retry_delay=delay)


# Envoy's own words would name its innards; 404 over gRPC is UNIMPLEMENTED.
UNAVAILABLE = Refusal(503, 14, "Not available now; try again.", "UNAVAILABLE", pause=hops.HOP_PAUSE)
DEADLINE_EXCEEDED = Refusal(504, 4, "The time for this call ran out.", "DEADLINE_EXCEEDED")
DENIED = Refusal(403, 7, "You may not do this.", "DENIED")
NO_SUCH_METHOD = Refusal(404, 5, "There is no such method.", "NO_SUCH_METHOD", grpc=12)


def over_grpc(refusal: Refusal, domain: str, *when: Config) -> Config:
    """A row of local_reply_config for gRPC: the message in words, the details beside it."""
    header = {"key": DETAILS, "value": refusal.binary(domain)}
    text = f"{refusal.message} {refusal.more}".strip()
    return {
        "filter": every(has_status(refusal.status), *when),
        "headers_to_add": [{"header": header, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}],
        "body_format_override": {"text_format_source": {"inline_string": text}},
    }


def has_status(status: int) -> Config:
    """Matches replies with this HTTP status."""
    value = {"default_value": status, "runtime_key": f"tulle.reply.{status}"}
    return {"status_code_filter": {"comparison": {"op": "EQ", "value": value}}}


def every(*filters: Config) -> Config:
    """Matches what all `filters` match."""
    return {"and_filter": {"filters": list(filters)}} if len(filters) > 1 else filters[0]


def inside(domain: str) -> list[Config]:
    """The rows of an Envoy that speaks gRPC only."""
    return [over_grpc(refusal, domain) for refusal in (UNAVAILABLE, DEADLINE_EXCEEDED, DENIED, NO_SUCH_METHOD)]
