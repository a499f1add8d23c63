"""The build in memory, compared with a tree."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen import build
from codegen.build import BadContract

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="<"), max_size=20)


def tree(folder: Path) -> Path:
    """A copy of what the build reads."""
    for name in ("protos", "services", "mesh", "infra", "docs"):
        shutil.copytree(build.ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (build.ROOT / "buf.yaml", *build.ROOT.glob("*.md")):
        shutil.copy(path, folder / path.name)
    return folder


def test_a_written_build_is_fresh(tmp_path: Path) -> None:
    """After writing, nothing is stale and nothing is stray."""
    root = tree(tmp_path)
    built = build.build(root)
    build.write(built, root)
    assert (build.stale(built, root), build.stray(built, root)) == ([], [])


def test_an_edited_file_is_stale_and_a_foreign_one_stray(tmp_path: Path) -> None:
    """Editing, deleting or adding a generated file is noticed by name, and writing mends it."""
    built = {f"{build.GEN}/a.json": b"{}", f"{build.GEN}/b.json": b"{}"}
    build.write(built, tmp_path)
    (tmp_path / build.GEN / "a.json").write_text("edited")
    (tmp_path / build.GEN / "b.json").unlink()
    (tmp_path / build.GEN / "c.json").write_text("mine")
    assert build.stale(built, tmp_path) == [f"{build.GEN}/a.json", f"{build.GEN}/b.json"]
    assert build.stray(built, tmp_path) == [f"{build.GEN}/c.json"]
    build.write(built, tmp_path)
    assert (build.stale(built, tmp_path), build.stray(built, tmp_path)) == ([], [])


def test_a_bad_contract_builds_nothing(tmp_path: Path) -> None:
    """Lint, format and our rules are all reported, with file and line; no file is made."""
    root = tree(tmp_path)
    users = root / "protos" / "tulle" / "users" / "v1" / "users.proto"
    text = users.read_text()
    text = text.replace("  // Lists whole profiles", "  //    Lists whole profiles", 1)
    text = text.replace("      deadline: {seconds: 2}\n", "", 1).replace("// A page of profiles.\n", "", 1)
    users.write_text(text.replace("  repeated Profile users", "  repeated   Profile users"))
    with pytest.raises(BadContract) as refused:
        build.build(root)
    said = str(refused.value)
    assert "has no deadline" in said
    assert "ListUsersResponse" in said
    assert "buf format -w protos" in said
    assert all(finding.where.startswith("protos/tulle/users/v1/users.proto:") for finding in refused.value.findings)


@given(TEXT, TEXT, TEXT)
def test_text_outside_markers_is_kept(before: str, old: str, after: str) -> None:
    """Only what stands between the markers is replaced."""
    page = "{}<!-- x -->\n{}<!-- /x -->\n{}".format
    assert build.insert(page(before, old, after), "x", "new\n") == page(before, "new\n", after)


def test_a_page_without_markers_is_refused() -> None:
    """A page that lost its markers is not rewritten by guessing."""
    with pytest.raises(ValueError, match="<!-- x -->"):
        build.insert("text", "x", "new")
