"""protos/ -> typed Python stubs and a descriptor set, by protoc.

The one place that runs protoc; everything else that is generated is made from the descriptor set.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import grpc_tools
from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    duration_pb2,
    field_mask_pb2,
    message_factory,
    timestamp_pb2,
)
from google.rpc import status_pb2
from grpc_tools import protoc
from protovalidate._gen.buf.validate import validate_pb

BIN = Path(sys.executable).parent

# Error details that the gateway turns into JSON must be in its descriptor set.
DETAILS = ("google/rpc/status.proto", "google/rpc/error_details.proto")
VALIDATE = "buf/validate/validate.proto"


class CompileError(Exception):
    """protoc refused the protos; its own words are above."""


def validate_set() -> descriptor_pb2.FileDescriptorSet:
    """validate.proto and its imports: the wheel carries no .proto file, only the descriptor."""
    file = descriptor_pb2.FileDescriptorProto.FromString(validate_pb.desc().proto.to_binary())
    result = descriptor_pb2.FileDescriptorSet()
    for module in (descriptor_pb2, duration_pb2, field_mask_pb2, timestamp_pb2):
        module.DESCRIPTOR.CopyToProto(result.file.add())
    result.file.append(file)
    return result


def names(protos: Path) -> tuple[str, ...]:
    """The proto files in `protos`, relative to it."""
    return tuple(sorted(path.relative_to(protos).as_posix() for path in protos.rglob("*.proto")))


def descriptor_set(protos: Path, scratch: Path) -> bytes:
    """Compile `protos` into a FileDescriptorSet with comments and source positions.

    `scratch`: a folder for intermediate files. Raises: CompileError.
    """
    known, compiled = scratch / "validate.binpb", scratch / "contract.binpb"
    # protoc takes imports from this set only if it is self-contained.
    known.write_bytes(validate_set().SerializeToString())
    google = Path(status_pb2.__file__).parent.parent.parent
    well_known = Path(grpc_tools.__file__).parent / "_proto"
    _protoc(
        f"--proto_path={protos}",
        f"--proto_path={google}",
        f"--proto_path={well_known}",
        f"--descriptor_set_in={known}",
        "--include_imports",
        "--include_source_info",
        f"--descriptor_set_out={compiled}",
        *names(protos),
        *DETAILS,
    )
    return compiled.read_bytes()


def stubs(compiled: Path, files: tuple[str, ...], with_services: tuple[str, ...], out: Path) -> None:
    """Write typed messages for `files` and typed gRPC stubs for `with_services` under `out`.

    `compiled`: the file of a descriptor set that has them all. Raises: CompileError.
    """
    _protoc(
        f"--descriptor_set_in={compiled}",
        f"--plugin=protoc-gen-mypy={BIN / 'protoc-gen-mypy'}",
        f"--python_out={out}",
        f"--mypy_out=quiet:{out}",
        *files,
        VALIDATE,
    )
    _protoc(
        f"--descriptor_set_in={compiled}",
        f"--plugin=protoc-gen-mypy_grpc={BIN / 'protoc-gen-mypy_grpc'}",
        f"--grpc_python_out={out}",
        f"--mypy_grpc_out=quiet:{out}",
        *with_services,
    )


def without_source(compiled: bytes) -> bytes:
    """The same set without comments and positions: a third of the size, for processes that load it.

    Read in a pool of its own, which knows none of our options and so leaves them as they stand: their
    order would otherwise depend on what this process has imported.
    """
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(descriptor_pb2.DESCRIPTOR.serialized_pb)
    kind: Any = message_factory.GetMessageClass(pool.FindMessageTypeByName("google.protobuf.FileDescriptorSet"))
    result = kind.FromString(compiled)
    for file in result.file:
        file.ClearField("source_code_info")
    return bytes(result.SerializeToString())


def _protoc(*arguments: str) -> None:
    if protoc.main(("protoc", *arguments)) != 0:
        raise CompileError("protoc refused the protos; its own words are above.")
