"""Certificates for tests: an authority, a server's certificate for localhost, and devices' own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Authority:
    cert_file: Path
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(days=2))
    )  # fmt: skip


def authority(folder: Path) -> Authority:
    folder.mkdir(parents=True)
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"Test authority {folder.name}")
    certificate = (
        _builder(name, name, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "ca.pem"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return Authority(path, certificate, key)


def server_certificate(issuer: Authority, folder: Path) -> tuple[Path, Path]:
    """Return the files of a certificate for localhost and of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))])
    certificate = (
        _builder(_name("localhost"), issuer.certificate.subject, key)
        .add_extension(names, critical=False)
        .sign(issuer.key, hashes.SHA256())
    )
    return _written(certificate, key, folder)


def client_certificate(issuer: Authority, folder: Path, name: str) -> tuple[Path, Path]:
    """Return the files of a certificate that says who its holder is, and of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _builder(_name(name), issuer.certificate.subject, key).sign(issuer.key, hashes.SHA256())
    return _written(certificate, key, folder)


def _written(
    certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey, folder: Path
) -> tuple[Path, Path]:
    folder.mkdir(parents=True)
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return folder / "cert.pem", folder / "key.pem"
