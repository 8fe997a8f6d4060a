"""A device's certificate, renewed by its password for a key of its own: by the right one, and not for everybody."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from api.app import create_app
from api.context import ApiContext
from edge.certificate import Lifetime, demand_fits, keep, lifetime, make_request, pairs
from store.registry.authority import Authority
from store.registry.certificates import certificates, issue, revoke
from store.registry.models import Device
from store.registry.provisioning import set_device_password
from tests.api import seeding
from tests.api.conftest import Person

SITE = seeding.OWN_SITE
NAME = seeding.DEVICES[SITE][0][0]
NOW = datetime(2026, 3, 1, tzinfo=UTC)


class Bench:
    def __init__(self, context: ApiContext, folder: Path | None):
        self.context = replace(context, config=replace(context.config, authority=folder))
        self.person = Person(create_app(self.context))
        with self.context.registry.session() as session:
            self.password = set_device_password(session, SITE, NAME)

    def ask(self, csr: str, password: str | None = None, name: str = f"{SITE}.{NAME}"):
        return self.person.http.post(
            "/api/v1/device/certificate", json={"csr": csr}, auth=(name, password or self.password)
        )

    def change(self, change: Callable) -> None:
        with self.context.registry.session() as session:
            change(session, session.get_one(Device, (SITE, NAME)))


@pytest.fixture
def bench(context: ApiContext, tmp_path: Path) -> Bench:
    Authority.open_or_make(tmp_path / "ca", context.wall.now())
    return Bench(context, tmp_path / "ca")


def csr_of(key) -> str:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    made = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM).decode()


def test_the_certificate_is_for_the_device_that_asks_whatever_the_request_says(bench, person):
    made = make_request("somebody.else")
    answer = bench.ask(made.csr)
    assert answer.status_code == 201, answer.text
    demand_fits(answer.json()["certificate"], made.key, f"{SITE}.{NAME}")
    with bench.context.registry.reader() as session:
        assert [row.serial for row in certificates(session)] == [answer.json()["serial"]]
    audit = person("admin").get("/audit", limit=1).json()["items"][0]
    assert (audit["action"], audit["who"]) == ("certificate.renew", f"{SITE}/{NAME}")
    assert "PRIVATE" not in answer.text and "PRIVATE" not in str(audit)


def test_who_does_not_show_the_devices_password_gets_nothing(bench):
    csr = make_request("x").csr
    assert bench.ask(csr, "wrong").status_code == 401
    assert bench.ask(csr, name="nobody.there").status_code == 401
    assert bench.ask(csr, name="nothing").status_code == 401
    bare = bench.person.http.post("/api/v1/device/certificate", json={"csr": csr})
    assert bare.status_code == 401 and bare.headers["WWW-Authenticate"] == "Basic"
    odd = bench.person.http.post(
        "/api/v1/device/certificate", json={"csr": csr}, headers={"Authorization": "Basic %%%"}
    )
    assert odd.status_code == 401
    for _ in range(5):
        bench.ask(csr, "wrong")
    assert bench.ask(csr, "wrong").status_code == 429


def test_a_request_that_proves_nothing_or_a_weak_key_is_refused(bench):
    good = make_request("x").csr
    other = x509.load_pem_x509_csr(make_request("y").csr.encode())
    raw = bytearray(x509.load_pem_x509_csr(good.encode()).public_bytes(serialization.Encoding.DER))
    raw[-1] ^= 1
    try:
        forged = x509.load_der_x509_csr(bytes(raw)).public_bytes(serialization.Encoding.PEM).decode()
    except ValueError:
        forged = "broken"
    assert other.is_signature_valid
    weak = [
        csr_of(rsa.generate_private_key(65537, 2048)),
        csr_of(ec.generate_private_key(ec.SECP224R1())),
        forged,
        "-----BEGIN CERTIFICATE REQUEST-----",
        "x",
    ]
    for csr in weak:
        answer = bench.ask(csr)
        assert answer.status_code == 422 and "csr" in answer.json()["detail"], csr
    with bench.context.registry.reader() as session:
        assert not certificates(session)


def test_a_device_that_was_revoked_or_switched_off_cannot_renew(bench):
    csr = make_request("x").csr
    assert bench.ask(csr).status_code == 201
    bench.change(lambda session, row: revoke(session, row, now=bench.context.wall.now()))
    refused = bench.ask(csr)
    assert refused.status_code == 403 and "enrol it anew" in refused.json()["detail"]
    ours = Authority.open_or_make(bench.context.config.authority, NOW)
    bench.change(lambda session, row: issue(session, ours, row, who="li", now=bench.context.wall.now()))
    assert bench.ask(csr).status_code == 201, "a person has given it another one"
    bench.change(lambda _session, row: setattr(row, "enabled", False))
    assert "switched off" in bench.ask(csr).json()["detail"]


def test_a_device_that_asks_all_the_time_is_held(bench):
    csr = make_request("x").csr
    assert [bench.ask(csr).status_code for _ in range(11)] == [201] * 10 + [403]


def test_a_server_without_an_authority_says_so(context):
    assert Bench(context, None).ask(make_request("x").csr).status_code == 409


def test_it_is_due_when_a_third_is_left():
    life = Lifetime(NOW, NOW + timedelta(days=90))
    assert not life.due(NOW + timedelta(days=59))
    assert life.due(NOW + timedelta(days=61)) and life.due(NOW + timedelta(days=100))


def test_of_two_certificates_the_one_that_counts_longer_is_shown_first(tmp_path):
    ours = Authority.open_or_make(tmp_path / "ca", NOW)
    files = {}
    for name, days in (("old", 10), ("new", 20)):
        pair = ours.for_device("s.d", NOW, days=days)
        files[name] = tmp_path / name
        keep(files[name], pair.certificate.decode(), pair.key.decode())
    old, new = str(files["old"]), str(files["new"])
    assert pairs(old, "old.key", new) == [(new, None), (old, "old.key")]
    assert pairs(new, None, old) == [(new, None), (old, None)]
    assert pairs(old, None, str(tmp_path / "none")) == [(old, None)]
    files["new"].write_text("power cut")
    assert pairs(old, None, new) == [(old, None)]
    assert lifetime(new) is None and pairs(None, None, None) == []
    assert files["old"].stat().st_mode & 0o777 == 0o600
    with pytest.raises(ValueError, match="another key"):
        demand_fits(ours.for_device("s.d", NOW).certificate.decode(), make_request("s.d").key)
