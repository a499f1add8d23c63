"""Why a case does not pass. Each reason belongs to a case that fails; a test holds that."""

from __future__ import annotations

from collections.abc import Mapping

from tests.conformance.h2 import Case

STREAMS = (
    "Not supported: its client streams. A contract with such a method does not build, so this is how a method ends "
    "that is not in the contract."
)
UNKNOWN = (
    "It asks for UNKNOWN, which no service of ours says: what is no typed error is INTERNAL with a fixed text, so that "
    "nothing inside leaks. With codes of ours it passes."
)
RPC: Mapping[str, str] = {
    **dict.fromkeys(("client_streaming", "ping_pong", "empty_stream"), STREAMS),
    **dict.fromkeys(("cancel_after_begin", "cancel_after_first_response", "timeout_on_sleeping_server"), STREAMS),
    **dict.fromkeys(("status_code_and_message", "special_status_message"), UNKNOWN),
    "custom_metadata": (
        "The call succeeds, and the metadata is not echoed: the gateway passes on a fixed list of headers, and a "
        "servicer has no way to answer with metadata of its own."
    ),
    "unimplemented_service": (
        "At the gateway, what the contract does not open is PERMISSION_DENIED, whether it exists or not; inside the "
        "mesh it is UNIMPLEMENTED."
    ),
}

OVER = "Envoy drops frames of a stream that is over and goes on, instead of answering with an error."
PRIORITY = "Envoy ignores PRIORITY frames, right or wrong; RFC 9113 (5.3.2) has deprecated them."
GOAWAY = "After a client's GOAWAY, Envoy neither answers its PING nor closes the connection while the case waits."
WINDOW = "Envoy closes the connection, without the frame that names the error."
_GROWN = "Sends multiple WINDOW_UPDATE frames increasing the flow control window to above 2^31-1"
HTTP2: Mapping[Case, str] = {
    Case("generic/3.8", "Sends a GOAWAY frame"): GOAWAY,
    Case("http2/3.5", "Sends invalid connection preface"): (
        "The plain port speaks HTTP/1.1 too: it takes the preface for a malformed HTTP/1.1 request, answers 400 and "
        "closes. With TLS, where ALPN has chosen HTTP/2, it passes."
    ),
    Case("http2/5.1", "closed: Sends a DATA frame"): OVER,
    Case("http2/5.1", "closed: Sends a DATA frame after sending RST_STREAM frame"): OVER,
    Case("http2/5.1", "closed: Sends a HEADERS frame"): OVER,
    Case("http2/5.1", "closed: Sends a HEADERS frame after sending RST_STREAM frame"): OVER,
    Case("http2/5.1.1", "Sends stream identifier that is numerically smaller than previous"): OVER,
    Case("http2/5.3.1", "Sends PRIORITY frame that depend on itself"): PRIORITY,
    Case("http2/6.3", "Sends a PRIORITY frame with 0x0 stream identifier"): PRIORITY,
    Case("http2/6.9.1", _GROWN): WINDOW,
    Case("http2/6.9.1", f"{_GROWN} on a stream"): WINDOW,
    Case("http2/7", "Sends a GOAWAY frame with unknown error code"): GOAWAY,
}
