"""The certificate authority of one Quietwater: it signs for devices, for the broker and for the server's processes.

Its key lies in a folder of the server and nowhere else. Whoever has it can come to the broker as any device.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_CA_DAYS: Final = 20 * 365
DEVICE_DAYS: Final = 2 * 365
"""How long a device's certificate is valid unless told otherwise."""
SERVER_DAYS: Final = 825
_RENEW_AT: Final = 1 / 5
"""What is left of the life of a broker's certificate when it is made anew."""
_CURVES: Final = ("secp256r1", "secp384r1")
_CRL_DAYS: Final = 10 * 365
"""A broker refuses everybody once its list is over; ours is written anew with each change, so that it need not be."""
_BACKDATED: Final = timedelta(hours=1)
"""Clocks of devices are behind now and then."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key as PEM, and the certificate's serial number in hexadecimal."""

    certificate: bytes
    key: bytes
    serial: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Revoked:
    """A certificate that no longer counts."""

    serial: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Signed:
    """A certificate (PEM) for a key that somebody else has."""

    certificate: bytes
    serial: str
    expires_at: datetime


class Authority:
    """Signs certificates; ``certificate_pem`` is what devices and brokers trust."""

    RENEW_LIST_BEFORE: Final = timedelta(days=365)
    """A list of revoked certificates is written anew when it is over in less than this."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self._certificate = certificate
        self._key = key

    @property
    def certificate_pem(self) -> bytes:
        """The authority's own certificate."""
        return _pem(self._certificate)

    @classmethod
    def open(cls, folder: Path) -> Authority | None:
        """Return the authority of a folder, or ``None`` where there is none. Raises ``ValueError`` for broken files."""
        try:
            certificate = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
            key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
        except FileNotFoundError:
            return None
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError(f"{folder / 'ca.key'} is no key on an elliptic curve")
        return cls(certificate, key)

    @classmethod
    def open_or_make(cls, folder: Path, now: datetime) -> Authority:
        """Return the authority of a folder, made on the first call; its key is for the folder's owner alone."""
        found = cls.open(folder)
        if found is not None:
            return found
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name("Quietwater device authority")
        usage = x509.KeyUsage(
            digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
            key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
        )  # fmt: skip
        certificate = (
            _builder(name, name, key.public_key(), now, _CA_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .sign(key, hashes.SHA256())
        )
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _give_to_owner_of(folder.parent, folder)
        _write_whole(folder / "ca.key", _key_pem(key), 0o600)
        _write_whole(folder / "ca.pem", _pem(certificate), 0o644)
        return cls(certificate, key)

    def for_device(self, name: str, now: datetime, *, days: int = DEVICE_DAYS) -> Pair:
        """Return a new certificate whose common name is ``name``, by which Mosquitto knows its holder.

        Its DNS name is that of this one certificate (see :func:`certificate_user`), by which NATS does.
        """
        serial = x509.random_serial_number()
        return self._sign(
            name, now, days, ExtendedKeyUsageOID.CLIENT_AUTH, serial,
            [x509.DNSName(certificate_user(name, format(serial, "x")))],
        )  # fmt: skip

    def for_request(self, csr: str, name: str, now: datetime, *, days: int = DEVICE_DAYS) -> Signed:
        """Return a certificate for the key of a request (CSR, PEM), as :meth:`for_device` does for a new one.

        Of the request only the key counts. Raises ``ValueError`` for one that its own key did not sign, or a key that
        is too weak.
        """
        try:
            request = x509.load_pem_x509_csr(csr.encode())
            proved = request.is_signature_valid
        except (ValueError, UnsupportedAlgorithm) as error:
            raise ValueError("this is no certificate request (CSR, PEM)") from error
        key = request.public_key()
        if not proved:
            raise ValueError("the request is not signed with the key that it names")
        if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in _CURVES:
            raise ValueError(f"the key must be on an elliptic curve: {' or '.join(_CURVES)}")
        serial = x509.random_serial_number()
        names = [x509.DNSName(certificate_user(name, format(serial, "x")))]
        made = self._certify(key, name, now, days, ExtendedKeyUsageOID.CLIENT_AUTH, serial, names)
        return Signed(_pem(made), format(serial, "x"), made.not_valid_after_utc)

    def for_client(self, name: str, now: datetime, *, days: int = SERVER_DAYS) -> Pair:
        """Return a new certificate for the server's own processes; NATS knows them by :func:`processes_user`."""
        return self._sign(
            name,
            now,
            days,
            ExtendedKeyUsageOID.CLIENT_AUTH,
            x509.random_serial_number(),
            [x509.DNSName(processes_user(name))],
        )

    def for_server(self, names: Sequence[str], now: datetime, *, days: int = SERVER_DAYS) -> Pair:
        """Return a new certificate for a broker that is reached by these host names and addresses."""
        return self._sign(
            names[0], now, days, ExtendedKeyUsageOID.SERVER_AUTH, x509.random_serial_number(),
            [_general_name(name) for name in names],
        )  # fmt: skip

    def server_renewed(self, certificate: bytes, key: bytes, now: datetime) -> Pair | None:
        """Return a broker's certificate anew, for the same names, where the present one (PEM) is ours and is soon over.

        So it is too where its key does not belong to it: a cut of power came between the two files. ``None`` where
        there is nothing to do, or somebody else signed it.
        """
        try:
            present = x509.load_pem_x509_certificate(certificate)
            present.verify_directly_issued_by(self._certificate)
        except (ValueError, TypeError, InvalidSignature):
            return None
        names = present.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        life = present.not_valid_after_utc - present.not_valid_before_utc
        if present.not_valid_after_utc - now > life * _RENEW_AT and _belong(present, key):
            return None
        subject = str(present.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
        return self._sign(
            subject,
            now,
            max(1, life.days),
            ExtendedKeyUsageOID.SERVER_AUTH,
            x509.random_serial_number(),
            list(names),
        )

    def revocation_list(self, revoked: Iterable[Revoked], now: datetime) -> bytes:
        """Return the list of certificates that no longer count, as PEM."""
        builder = (
            x509.CertificateRevocationListBuilder().issuer_name(self._certificate.subject)
            .last_update(now - _BACKDATED).next_update(now + timedelta(days=_CRL_DAYS))
        )  # fmt: skip
        for one in revoked:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(int(one.serial, 16))
                .revocation_date(one.at)
                .build()
            )
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def signed(self, crl: x509.CertificateRevocationList) -> bool:
        """Whether a list of revoked certificates is this authority's."""
        return crl.is_signature_valid(self._key.public_key())

    def _sign(
        self, subject: str, now: datetime, days: int, usage: x509.ObjectIdentifier, serial: int,
        names: list[x509.GeneralName],
    ) -> Pair:  # fmt: skip
        key = ec.generate_private_key(ec.SECP256R1())
        made = self._certify(key.public_key(), subject, now, days, usage, serial, names)
        return Pair(_pem(made), _key_pem(key), format(serial, "x"), made.not_valid_after_utc)

    def _certify(
        self, key: ec.EllipticCurvePublicKey, subject: str, now: datetime, days: int, usage: x509.ObjectIdentifier,
        serial: int, names: Sequence[x509.GeneralName],
    ) -> x509.Certificate:  # fmt: skip
        return (
            _builder(_name(subject), self._certificate.subject, key, now, days, serial)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(self._key, hashes.SHA256())
        )


def _belong(certificate: x509.Certificate, key: bytes) -> bool:
    try:
        loaded = serialization.load_pem_private_key(key, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return loaded.public_key() == certificate.public_key()


def certificate_user(name: str, serial: str) -> str:
    """Return the name of one certificate of a device: unlike the device's own it ends with the certificate."""
    return f"{serial}.{name}"


def processes_user(name: str) -> str:
    """Return how NATS knows the server's processes by their certificate: of a user with a password it asks for it."""
    return f"processes.{name}"


def _write_whole(path: Path, content: bytes, mode: int) -> None:
    """Write a file whole or not at all, with these rights from its first byte on."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    _give_to_owner_of(path.parent, draft)
    draft.replace(path)


def _give_to_owner_of(folder: Path, path: Path) -> None:
    """What root writes belongs to whom the folder belongs to: the server's user reads and backs it up."""
    if os.geteuid() == 0:
        owner = folder.stat()
        os.chown(path, owner.st_uid, owner.st_gid)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, days: int,
    serial: int | None = None,
) -> x509.CertificateBuilder:  # fmt: skip
    return (
        x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(now - _BACKDATED).not_valid_after(now + timedelta(days=days))
    )  # fmt: skip


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _general_name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
