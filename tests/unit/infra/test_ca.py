from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from infra import ca

SPIFFE = "spiffe://tulle.local/ns/tulle/sa/users"


@pytest.fixture
def authority(tmp_path: Path) -> ca.Authority:
    return ca.open_authority(tmp_path)


def certificate(folder: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate((folder / "cert.pem").read_bytes())


def test_an_authority_is_made_once(tmp_path: Path, authority: ca.Authority) -> None:
    """The second opening finds the first one's authority."""
    assert ca.open_authority(tmp_path).pem == authority.pem


def test_an_authority_that_ends_soon_is_replaced(tmp_path: Path, authority: ca.Authority) -> None:
    """A stack never starts with an authority that would end under it."""
    later = datetime.now(UTC) + ca.AUTHORITY_LIFE - ca.AUTHORITY_RENEWED + timedelta(hours=1)
    assert ca.open_authority(tmp_path, later).pem != authority.pem


def test_a_certificate_says_exactly_who_it_is(tmp_path: Path, authority: ca.Authority) -> None:
    """Its names are the SPIFFE id and what clients that know only DNS ask for."""
    ca.issue(authority, tmp_path / "users", ["users", "127.0.0.1"], SPIFFE)
    issued = certificate(tmp_path / "users")
    names = issued.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [SPIFFE]
    assert names.get_values_for_type(x509.DNSName) == ["users"]
    assert names.get_values_for_type(x509.IPAddress) == [ip_address("127.0.0.1")]
    issued.verify_directly_issued_by(authority.certificate)


def test_a_certificate_lives_a_day_and_signs_no_others(tmp_path: Path, authority: ca.Authority) -> None:
    """A stolen one is worth little."""
    ca.issue(authority, tmp_path / "users", ["users"], SPIFFE)
    issued = certificate(tmp_path / "users")
    assert issued.not_valid_after_utc - datetime.now(UTC) <= ca.LIFE
    assert not issued.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_keys_are_readable_by_their_owner_only(tmp_path: Path, authority: ca.Authority) -> None:
    """Keys are 0600 in folders that are 0700."""
    ca.issue(authority, tmp_path / "users", ["users"], SPIFFE)
    for folder in (tmp_path / "users", tmp_path / "ca"):
        assert (folder / "key.pem").stat().st_mode & 0o777 == 0o600
        assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "users" / "current").iterdir()} == {0o600}


def test_a_reader_never_sees_a_certificate_without_its_key(tmp_path: Path, authority: ca.Authority) -> None:
    """All files change in one rename, so what `current` leads to always belongs together."""
    folder = tmp_path / "users"
    seen = set()
    for _ in range(4):
        ca.issue(authority, folder, ["users"], SPIFFE)
        identity = ca.read(folder)
        seen.add(identity)
        issued = x509.load_pem_x509_certificate(identity.certificate)
        assert load_pem_private_key(identity.key, None).public_key() == issued.public_key()
        assert identity.authority == authority.pem
    assert len(seen) == 4


def test_old_certificates_do_not_pile_up(tmp_path: Path, authority: ca.Authority) -> None:
    """Besides the newest set only the one that somebody may be reading stays."""
    for _ in range(5):
        ca.issue(authority, tmp_path / "users", ["users"], SPIFFE)
    folders = [path for path in (tmp_path / "users").iterdir() if path.is_dir() and not path.is_symlink()]
    assert len(folders) == ca.KEPT


def test_a_certificate_is_due_at_half_of_its_life(tmp_path: Path, authority: ca.Authority) -> None:
    """Rotation has the second half of a certificate's life to succeed."""
    folder, now = tmp_path / "users", datetime.now(UTC)
    assert ca.due(authority, folder, now)
    ca.issue(authority, folder, ["users"], SPIFFE, now)
    assert not ca.due(authority, folder, now + ca.LIFE / 2 - timedelta(minutes=10))
    assert ca.due(authority, folder, now + ca.LIFE / 2)


@pytest.mark.parametrize("name", ["identity.yaml", "authority.yaml"])
def test_what_an_earlier_release_made_is_due(tmp_path: Path, authority: ca.Authority, name: str) -> None:
    """It has no files of the kind that Envoys read."""
    ca.issue(authority, tmp_path / "users", ["users"], SPIFFE)
    assert not ca.due(authority, tmp_path / "users")
    (tmp_path / "users" / "current" / name).unlink()
    assert ca.due(authority, tmp_path / "users")


def test_another_authority_s_certificate_is_due(tmp_path: Path, authority: ca.Authority) -> None:
    """After a new authority, every workload gets a new certificate."""
    ca.issue(authority, tmp_path / "users", ["users"], SPIFFE)
    assert ca.due(ca.open_authority(tmp_path / "other"), tmp_path / "users")
