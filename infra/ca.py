"""The local certificate authority: identities for a mesh on one machine.

A folder `certs/` holds the authority (`ca/`) and one folder for each workload, laid out for
proxies that watch it: `current` is a link to the newest set of files and is replaced by a rename,
so that a reader finds a certificate and its own key or the old pair, never a mixture. What stands
beside it (`cert.pem`, `key.pem`, `ca.pem`) are links through `current`, in which Envoys find the
same as files of their own kind (mesh/certificates.py).
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from infra.limits import DAY, limit
from mesh import certificates

_CERTIFICATE_LIFE = limit("CERTIFICATE_LIFE", DAY, "s", "Of a workload's identity; renewed at half of it.")
_AUTHORITY_LIFE = limit("AUTHORITY_LIFE", 365 * DAY, "s", "Of the local authority.")
_AUTHORITY_RENEWED = limit("AUTHORITY_RENEWED", 30 * DAY, "s", "An authority with less left is replaced at a start.")
_CERTIFICATE_SKEW = limit("CERTIFICATE_SKEW", 300.0, "s", "Certificates begin in the past: clocks differ.")
KEPT = limit("CERTIFICATES_KEPT", 2, "sets", "Of a workload's files: the newest, and the one that is being read.")

LIFE, AUTHORITY_LIFE = timedelta(seconds=_CERTIFICATE_LIFE), timedelta(seconds=_AUTHORITY_LIFE)
AUTHORITY_RENEWED, SKEW = timedelta(seconds=_AUTHORITY_RENEWED), timedelta(seconds=_CERTIFICATE_SKEW)

# In the order of Identity.
FILES = ("cert.pem", "key.pem", "ca.pem")


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority: its key, and the certificate that all workloads trust."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def pem(self) -> bytes:
        """The certificate as PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)


def open_authority(certs: Path, now: datetime | None = None) -> Authority:
    """The authority in `certs`, made if there is none or if it ends soon. Only for stacks that are down:
    what runs with certificates of an old authority does not trust a new one.
    """
    folder = certs / "ca"
    if (folder / "key.pem").exists():
        authority = _read(folder)
        if authority.certificate.not_valid_after_utc - _now(now) > AUTHORITY_RENEWED:
            return authority
    _write(folder, _create(_now(now)))
    return _read(folder)


def issue(
    authority: Authority,
    folder: Path,
    names: Iterable[str],
    uri: str = "",
    now: datetime | None = None,
    life: timedelta = LIFE,
) -> None:
    """Put a new key and certificate into `folder`, atomically for its readers.

    `names`: DNS names and IP addresses; the first is the subject. `uri`: the SPIFFE id, if it has one.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _certificate(authority, key, tuple(names), uri, _now(now), life)
    fresh = folder / f"{_now(now):%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"
    fresh.mkdir(mode=0o700)
    made = Identity(certificate.public_bytes(serialization.Encoding.PEM), _key_pem(key), authority.pem)
    for name, pem in zip(FILES, (made.certificate, made.key, made.authority), strict=True):
        _private(fresh / name, pem)
    texts = certificates.secrets(made.certificate.decode(), made.key.decode(), made.authority.decode())
    for name, text in texts.items():
        _private(fresh / name, text.encode())
    _swap(folder, fresh)
    _remove_old(folder)


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate, its key and the authority's certificate, as PEM."""

    certificate: bytes
    key: bytes
    authority: bytes


def read(folder: Path) -> Identity:
    """What `issue` put there. Follows the link once: three reads through it might meet a rotation."""
    current = (folder / "current").resolve()
    return Identity(*((current / name).read_bytes() for name in FILES))


def due(authority: Authority, folder: Path, now: datetime | None = None) -> bool:
    """Whether the certificate in `folder` is missing, another authority's or past half of its life.

    The other half is for a rotation that fails: hours in which somebody can look at it.
    """
    path = folder / "cert.pem"
    if not all((folder / "current" / name).exists() for name in (*FILES, *certificates.FILES)):
        return True
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    old = certificate.not_valid_before_utc + life / 2 <= _now(now)
    return old or not _issued_by(authority, certificate)


def _issued_by(authority: Authority, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority.certificate)
    except (InvalidSignature, ValueError):
        return False
    return True


def _now(now: datetime | None) -> datetime:
    return now or datetime.now(UTC)


def _create(now: datetime) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Tulle local authority")])
    builder = _builder(name, name, key, now, AUTHORITY_LIFE)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
    return Authority(key, builder.sign(key, hashes.SHA256()))


def _certificate(
    authority: Authority,
    key: ec.EllipticCurvePrivateKey,
    names: tuple[str, ...],
    uri: str,
    now: datetime,
    life: timedelta,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    alternatives = [_alternative(name) for name in names] + ([x509.UniformResourceIdentifier(uri)] if uri else [])
    extensions: tuple[tuple[x509.ExtensionType, bool], ...] = (
        (x509.SubjectAlternativeName(alternatives), False),
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_usage(signs_certificates=False), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), False),
    )
    builder = _builder(subject, authority.certificate.subject, key, now, life)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(authority.key, hashes.SHA256())


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(folder: Path, authority: Authority) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    (folder / "cert.pem").write_bytes(authority.pem)
    # Last: an authority is there when its key is.
    _private(folder / "key.pem", _key_pem(authority.key))


def _read(folder: Path) -> Authority:
    key = serialization.load_pem_private_key((folder / "key.pem").read_bytes(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return Authority(key, x509.load_pem_x509_certificate((folder / "cert.pem").read_bytes()))


def _private(path: Path, content: bytes) -> None:
    scratch = path.with_suffix(".new")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    scratch.replace(path)


def _swap(folder: Path, fresh: Path) -> None:
    link = folder / "next"
    link.unlink(missing_ok=True)
    link.symlink_to(fresh.name)
    link.replace(folder / "current")
    for name in FILES:
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"current/{name}")


def _remove_old(folder: Path) -> None:
    current = (folder / "current").resolve()
    sets = [path for path in folder.iterdir() if path.is_dir() and not path.is_symlink()]
    sets.sort(key=lambda path: path.stat().st_mtime_ns)
    for old in sets[:-KEPT]:
        if old != current:
            shutil.rmtree(old)
