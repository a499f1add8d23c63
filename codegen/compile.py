"""protos/ -> typed Python stubs and a descriptor set, by protoc.

The one place that runs protoc; everything else that is generated is made from the descriptor set.
"""

from __future__ import annotations

import sys
from pathlib import Path

import grpc_tools
from google.protobuf import descriptor_pb2, duration_pb2, field_mask_pb2, timestamp_pb2
from google.rpc import status_pb2
from grpc_tools import protoc
from protovalidate._gen.buf.validate import validate_pb

ROOT = Path(__file__).parent.parent
PROTOS = ROOT / "protos"

# Error details that the gateway turns into JSON must be in its descriptor set.
DETAILS = ("google/rpc/status.proto", "google/rpc/error_details.proto")
VALIDATE = "buf/validate/validate.proto"


class CompileError(Exception):
    """protoc refused the protos; its own words are above."""


def sources() -> tuple[str, ...]:
    """Our proto files, relative to protos/."""
    return tuple(sorted(path.relative_to(PROTOS).as_posix() for path in PROTOS.rglob("*.proto")))


def validate_set() -> descriptor_pb2.FileDescriptorSet:
    """validate.proto and its imports: the wheel carries no .proto file, only the descriptor."""
    file = descriptor_pb2.FileDescriptorProto.FromString(validate_pb.desc().proto.to_binary())
    result = descriptor_pb2.FileDescriptorSet()
    for module in (descriptor_pb2, duration_pb2, field_mask_pb2, timestamp_pb2):
        module.DESCRIPTOR.CopyToProto(result.file.add())
    result.file.append(file)
    return result


def run(protos: Path, scratch: Path, out: Path) -> bytes:
    """Compile `protos` into stubs under `out`; returns the FileDescriptorSet with source positions.

    `scratch`: a folder for intermediate files. Raises: CompileError.
    """
    known = scratch / "validate.binpb"
    # protoc takes imports from this set only if it is self-contained.
    known.write_bytes(validate_set().SerializeToString())
    compiled = scratch / "contract.binpb"
    names = sorted(path.relative_to(protos).as_posix() for path in protos.rglob("*.proto"))
    google = Path(status_pb2.__file__).parent.parent.parent
    well_known = Path(grpc_tools.__file__).parent / "_proto"
    bin_folder = Path(sys.executable).parent
    _protoc(
        f"--proto_path={protos}",
        f"--proto_path={google}",
        f"--proto_path={well_known}",
        f"--descriptor_set_in={known}",
        "--include_imports",
        "--include_source_info",
        f"--descriptor_set_out={compiled}",
        *names,
        *DETAILS,
    )
    _protoc(
        f"--descriptor_set_in={compiled}",
        f"--plugin=protoc-gen-mypy={bin_folder / 'protoc-gen-mypy'}",
        f"--plugin=protoc-gen-mypy_grpc={bin_folder / 'protoc-gen-mypy_grpc'}",
        f"--python_out={out}",
        f"--mypy_out=quiet:{out}",
        *names,
        VALIDATE,
    )
    _protoc(
        f"--descriptor_set_in={compiled}",
        f"--plugin=protoc-gen-mypy_grpc={bin_folder / 'protoc-gen-mypy_grpc'}",
        f"--grpc_python_out={out}",
        f"--mypy_grpc_out=quiet:{out}",
        *(name for name in names if "\nservice " in (protos / name).read_text()),
    )
    return compiled.read_bytes()


def _protoc(*arguments: str) -> None:
    if protoc.main(("protoc", *arguments)) != 0:
        raise CompileError("protoc refused the protos; its own words are above.")
