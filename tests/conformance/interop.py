"""gRPC's interop cases (grpc/doc/interop-test-descriptions.md) with grpcio as the client.

A case says nothing if it passes, else what the client got. Where the original needs a client that streams,
the case is also there in a form that our pipeline knows: over a server stream, or with a code of ours.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from tests.conformance.mesh import Mesh
from tests.conformance.testing import TESTING, message

REQUEST, ANSWER = 271_828, 314_159
STREAM = (31_415, 9, 2_653, 58_979)
SPECIAL = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n"
METADATA = (("x-grpc-test-echo-initial", "test_initial_metadata_value"), ("x-grpc-test-echo-trailing-bin", b"\xab"))
S = grpc.StatusCode

Case = Callable[[grpc.Channel, Mesh], None]


def unary(channel: grpc.Channel, method: str, request: Any, answer: str, **options: Any) -> Any:
    """One unary call. `method`: of the service, or with a path of its own."""
    path = method if method.startswith("/") else f"/{TESTING}/{method}"
    call: Any = channel.unary_unary(path, type(request).SerializeToString, type(message(answer)).FromString)
    return call(request, timeout=options.pop("timeout", 10), **options)


def simple(**fields: Any) -> Any:
    """A request of UnaryCall."""
    return message("SimpleRequest", **fields)


def empty_unary(channel: grpc.Channel, mesh: Mesh) -> None:
    assert unary(channel, "EmptyCall", message("Empty"), "Empty") == message("Empty")


def large_unary(channel: grpc.Channel, mesh: Mesh) -> None:
    answer = unary(channel, "UnaryCall", _large(), "SimpleResponse")
    assert len(answer.payload.body) == ANSWER


def _large() -> Any:
    return simple(response_size=ANSWER, payload={"body": bytes(REQUEST)})


def client_compressed_unary(channel: grpc.Channel, mesh: Mesh) -> None:
    answer = unary(channel, "UnaryCall", _large(), "SimpleResponse", compression=grpc.Compression.Gzip)
    assert len(answer.payload.body) == ANSWER


def concurrent_large_unary(channel: grpc.Channel, mesh: Mesh) -> None:
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(lambda _: large_unary(channel, mesh), range(40)))


def output(channel: grpc.Channel, sizes: Iterable[int], pause: float = 0, **options: Any) -> Any:
    """A call of StreamingOutputCall."""
    parameters = [{"size": size, "interval_us": int(pause * 1e6)} for size in sizes]
    request = message("StreamingOutputCallRequest", response_parameters=parameters)
    encode, decode = type(request).SerializeToString, type(message("StreamingOutputCallResponse")).FromString
    call: Any = channel.unary_stream(f"/{TESTING}/StreamingOutputCall", encode, decode)
    return call(request, timeout=options.pop("timeout", 10), **options)


def server_streaming(channel: grpc.Channel, mesh: Mesh) -> None:
    assert tuple(len(answer.payload.body) for answer in output(channel, STREAM)) == STREAM


def both_stream(channel: grpc.Channel, requests: Iterator[Any], method: str = "FullDuplexCall", **options: Any) -> Any:
    """A call of a method whose client streams."""
    encode, decode = (lambda request: request.SerializeToString()), type(message("StreamingOutputCallResponse"))
    call: Any = channel.stream_stream(f"/{TESTING}/{method}", encode, decode.FromString)
    return call(requests, timeout=options.pop("timeout", 10), **options)


def _requests() -> Iterator[Any]:
    for size in STREAM:
        yield message("StreamingOutputCallRequest", response_parameters=[{"size": size}])


def client_streaming(channel: grpc.Channel, mesh: Mesh) -> None:
    list(both_stream(channel, _requests(), "StreamingInputCall"))


def ping_pong(channel: grpc.Channel, mesh: Mesh) -> None:
    assert tuple(len(answer.payload.body) for answer in both_stream(channel, _requests())) == STREAM


def empty_stream(channel: grpc.Channel, mesh: Mesh) -> None:
    assert list(both_stream(channel, iter(()))) == []


def cancel_after_begin(channel: grpc.Channel, mesh: Mesh) -> None:
    _cancelled(both_stream(channel, _never(), "StreamingInputCall"), wait=0.2)


def _never() -> Iterator[Any]:
    time.sleep(0.5)
    yield from ()


def _cancelled(call: Any, wait: float = 0) -> None:
    time.sleep(wait)
    call.cancel()
    _refused(S.CANCELLED, lambda: list(call))


def _refused(code: grpc.StatusCode, run: Callable[[], object], details: str | None = None) -> None:
    """`run` must fail like this. Raises: AssertionError saying how it did end."""
    try:
        run()
    except grpc.RpcError as error:
        told: Any = error
        assert told.code() == code, told.code().name
        assert details is None or told.details() == details, f"another message: {told.details()!r}"
        return
    raise AssertionError("OK")


def cancel_after_first_response(channel: grpc.Channel, mesh: Mesh) -> None:
    call = both_stream(channel, _requests())
    next(call)
    _cancelled(call)


def cancel_after_first_of_a_stream(channel: grpc.Channel, mesh: Mesh) -> None:
    before, call = mesh.testing.cancelled, output(channel, STREAM, pause=0.4)
    next(call)
    _cancelled(call)
    until = time.monotonic() + 2
    while mesh.testing.cancelled == before:
        assert time.monotonic() < until, "the service did not hear of it"
        time.sleep(0.01)


def cancel_unary(channel: grpc.Channel, mesh: Mesh) -> None:
    request = _large()
    answer = type(message("SimpleResponse"))
    method: Any = channel.unary_unary(f"/{TESTING}/UnaryCall", type(request).SerializeToString, answer.FromString)
    call = method.future(request, timeout=10)
    call.cancel()
    assert call.code() == S.CANCELLED, call.code().name


def timeout_on_sleeping_server(channel: grpc.Channel, mesh: Mesh) -> None:
    _refused(S.DEADLINE_EXCEEDED, lambda: list(both_stream(channel, _never(), timeout=0.3)))


def timeout_on_sleeping_stream(channel: grpc.Channel, mesh: Mesh) -> None:
    _refused(S.DEADLINE_EXCEEDED, lambda: list(output(channel, STREAM, pause=1, timeout=0.3)))


def deadline_of_the_contract(channel: grpc.Channel, mesh: Mesh) -> None:
    _refused(S.DEADLINE_EXCEEDED, lambda: list(output(channel, STREAM, pause=5)))


def status_code_and_message(channel: grpc.Channel, mesh: Mesh) -> None:
    _status(channel, S.UNKNOWN, "test status message")


def every_code_of_ours(channel: grpc.Channel, mesh: Mesh) -> None:
    for code in (S.INVALID_ARGUMENT, S.NOT_FOUND, S.ALREADY_EXISTS, S.PERMISSION_DENIED, S.UNAUTHENTICATED):
        _status(channel, code, "test status message")
    for code in (S.FAILED_PRECONDITION, S.ABORTED, S.RESOURCE_EXHAUSTED, S.UNAVAILABLE, S.DEADLINE_EXCEEDED):
        _status(channel, code, "test status message")


def special_status_message(channel: grpc.Channel, mesh: Mesh) -> None:
    _status(channel, S.UNKNOWN, SPECIAL)


def special_message_of_ours(channel: grpc.Channel, mesh: Mesh) -> None:
    _status(channel, S.NOT_FOUND, SPECIAL)


def _status(channel: grpc.Channel, code: grpc.StatusCode, text: str) -> None:
    request = simple(response_status={"code": code.value[0], "message": text})
    _refused(code, lambda: unary(channel, "UnaryCall", request, "SimpleResponse"), text)


def custom_metadata(channel: grpc.Channel, mesh: Mesh) -> None:
    request, answer = simple(response_size=1), type(message("SimpleResponse"))
    method: Any = channel.unary_unary(f"/{TESTING}/UnaryCall", type(request).SerializeToString, answer.FromString)
    _, call = method.with_call(request, timeout=10, metadata=METADATA)
    heard = dict(call.initial_metadata()) | dict(call.trailing_metadata())
    assert all(heard.get(key) == value for key, value in METADATA), "OK, without the metadata"


def unimplemented_method(channel: grpc.Channel, mesh: Mesh) -> None:
    _refused(S.UNIMPLEMENTED, lambda: unary(channel, "UnimplementedCall", message("Empty"), "Empty"))


def unimplemented_service(channel: grpc.Channel, mesh: Mesh) -> None:
    path = "/grpc.testing.UnimplementedService/UnimplementedCall"
    _refused(S.UNIMPLEMENTED, lambda: unary(channel, path, message("Empty"), "Empty"))


CASES: Mapping[str, Case] = {
    "empty_unary": empty_unary,
    "large_unary": large_unary,
    "concurrent large_unary": concurrent_large_unary,
    "large_unary, request compressed": client_compressed_unary,
    "server_streaming": server_streaming,
    "client_streaming": client_streaming,
    "ping_pong": ping_pong,
    "empty_stream": empty_stream,
    "cancel_after_begin": cancel_after_begin,
    "cancelling a unary call": cancel_unary,
    "cancel_after_first_response": cancel_after_first_response,
    "cancelling a server stream; the service hears of it": cancel_after_first_of_a_stream,
    "timeout_on_sleeping_server": timeout_on_sleeping_server,
    "the client's deadline on a server stream": timeout_on_sleeping_stream,
    "the contract's deadline on a server stream": deadline_of_the_contract,
    "status_code_and_message": status_code_and_message,
    "status and message, each code of ours": every_code_of_ours,
    "special_status_message": special_status_message,
    "special message with a code of ours": special_message_of_ours,
    "custom_metadata": custom_metadata,
    "unimplemented_method": unimplemented_method,
    "unimplemented_service": unimplemented_service,
}


def run(name: str, channel: grpc.Channel, mesh: Mesh) -> str:
    """`passes`, or what the client got instead."""
    try:
        CASES[name](channel, mesh)
    except AssertionError as error:
        return str(error)
    except grpc.RpcError as error:
        told: Any = error
        return str(told.code().name)
    return PASSES


PASSES = "passes"
