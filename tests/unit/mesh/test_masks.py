from __future__ import annotations

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from hypothesis import given
from hypothesis import strategies as st
from tulle.users.v1 import users_pb2 as pb

from mesh.masks import UnknownField, changing

CHANGEABLE = {"display_name", "handle", "locale", "time_zone", "avatar_url"}


def test_without_a_mask_what_is_present_changes() -> None:
    """No mask means the fields that are present, empty ones included (AIP-134)."""
    assert changing(pb.Profile(handle="ada", display_name=""), FieldMask()) == {"handle", "display_name"}


def test_output_only_fields_and_the_etag_never_change() -> None:
    """Output-only fields and the etag are ignored, present or named (AIP-203)."""
    profile = pb.Profile(user_id="user_1", etag="7")
    profile.create_time.GetCurrentTime()
    assert changing(profile, FieldMask()) == set()
    assert changing(profile, FieldMask(paths=["user_id", "create_time", "etag", "locale"])) == {"locale"}


def test_a_star_names_everything() -> None:
    """`*` is a full replacement (AIP-134)."""
    assert changing(pb.Profile(), FieldMask(paths=["*"])) == CHANGEABLE


@given(st.sets(st.sampled_from(sorted(CHANGEABLE)), min_size=1))
def test_a_mask_decides_alone(paths: set[str]) -> None:
    """With a mask the fields that it names change, whatever is present."""
    assert changing(pb.Profile(handle="ada"), FieldMask(paths=paths)) == paths


@pytest.mark.parametrize("path", ["nickname", "profile.handle", "displayName", "create_time.seconds", "", "**"])
def test_an_unknown_path_is_refused_by_name(path: str) -> None:
    """Every path that is not a field of the resource is named in a violation (AIP-161)."""
    with pytest.raises(UnknownField) as caught:
        changing(pb.Profile(), FieldMask(paths=["handle", path, "*"]))
    assert [(v.field, path in v.description) for v in caught.value.violations] == [("update_mask", True)]
