"""The device's own key and certificate: made here, renewed in time. The key never leaves the device.

Both lie in one file, so that one rename changes both.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True, slots=True)
class Request:
    """A new key, and the request (CSR) to sign it; both PEM."""

    key: str
    csr: str


@dataclass(frozen=True, slots=True)
class Lifetime:
    """From when until when a certificate counts."""

    begins_at: datetime
    ends_at: datetime

    def due(self, now: datetime) -> bool:
        """Whether less than a third of its life is left."""
        return self.ends_at - now < (self.ends_at - self.begins_at) / 3


def make_request(name: str) -> Request:
    """Make a key and the request to certify it for ``name`` (``SITE.DEVICE``)."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    csr = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return Request(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode(),
        csr.public_bytes(serialization.Encoding.PEM).decode(),
    )


def demand_fits(certificate: str, key: str, name: str | None = None) -> None:
    """Raise ``ValueError`` unless a certificate (PEM) is of this key, and of this name where one is given."""
    found = x509.load_pem_x509_certificate(certificate.encode())
    own = serialization.load_pem_private_key(key.encode(), None).public_key()
    encoding = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    if found.public_key().public_bytes(*encoding) != own.public_bytes(*encoding):
        raise ValueError("the certificate is of another key than this device's")
    names = [one.value for one in found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if name is not None and names != [name]:
        raise ValueError(f"the certificate is for {', '.join(map(str, names))}, not for {name}")


def lifetime(path: str | Path | None) -> Lifetime | None:
    """Return the lifetime of the certificate in a file, ``None`` where there is none that can be read."""
    if path is None:
        return None
    try:
        found = x509.load_pem_x509_certificate(Path(path).read_bytes())
    except (OSError, ValueError):
        return None
    return Lifetime(found.not_valid_before_utc, found.not_valid_after_utc)


def pairs(
    cert_file: str | None, key_file: str | None, renewed_file: str | None
) -> list[tuple[str, str | None]]:
    """Return the pairs (certificate, key) that can be shown, the one that counts longest first.

    What a person has put there later counts as much as what was renewed.
    """
    found: list[tuple[datetime, str, str | None]] = []
    for path, key in ((renewed_file, None), (cert_file, key_file)):
        life = lifetime(path)
        if path is not None and life is not None:
            found.append((life.ends_at, path, key))
    found.sort(key=lambda one: one[0], reverse=True)
    if not found and cert_file is not None:
        return [(cert_file, key_file)]  # it cannot be read: let TLS say why
    return [(path, key) for _, path, key in found]


def keep(path: Path, certificate: str, key: str) -> None:
    """Write both into one file, whole or not at all, for its owner alone. Raises ``OSError``."""
    draft = path.with_name(path.name + ".new")
    with contextlib.suppress(FileNotFoundError):
        draft.unlink()
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(certificate.strip() + "\n" + key.strip() + "\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
