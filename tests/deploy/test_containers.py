"""Dockerfile, compose.yaml and the chart, each by its own tool; and every command of ours in them by our own parser."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from app.cli import main

PROJECT = Path(__file__).parents[2]
COMPOSE = PROJECT / "deploy" / "compose"
CHART = PROJECT / "deploy" / "helm" / "quietwater"
VERSIONS = ("1.27", "1.37")
"""The oldest Kubernetes that Chart.yaml names, and the newest whose schemas the validator has."""

helm = pytest.importorskip("helm_python", reason="Helm's library has a wheel for x86-64 alone")


def test_the_dockerfile_is_clean_and_copies_what_is_there() -> None:
    dockerfile = PROJECT / "deploy" / "docker" / "Dockerfile"
    done = subprocess.run(
        [str(Path(sys.executable).with_name("hadolint")), str(dockerfile)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "")
    kept = {line[1:] for line in (PROJECT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied: set[str] = set()
    for line in dockerfile.read_text().splitlines():
        words = line.split()
        if words[:1] == ["COPY"] and not words[1].startswith("--from"):
            copied |= set(words[1:-1])
    assert copied == kept
    assert all((PROJECT / one).exists() for one in copied)


# -- Compose -----------------------------------------------------------------------------------------------------


@pytest.fixture
def composed(program: Callable[[str], str], tmp_path: Path) -> dict[str, Any]:
    """Return compose.yaml as Compose reads it after prepare.sh."""
    for name in ("compose", "caddy"):
        subprocess.run(["cp", "-r", str(PROJECT / "deploy" / name), str(tmp_path)], check=True)
    folder = tmp_path / "compose"
    prepare = [str(folder / "prepare.sh"), "quietwater.example"]
    subprocess.run(prepare, check=True, capture_output=True, timeout=60)
    secrets = {one.name: one.read_text() for one in (folder / "secrets").iterdir()}
    assert len(set(secrets.values())) == len(secrets) and all(len(one) == 48 for one in secrets.values())
    assert (folder / "secrets").stat().st_mode & 0o777 == 0o700
    subprocess.run(prepare, check=True, capture_output=True, timeout=60)
    assert {one.name: one.read_text() for one in (folder / "secrets").iterdir()} == secrets
    done = subprocess.run(
        [program("docker-compose"), "-f", str(folder / "compose.yaml"), "--env-file", str(folder / ".env"),
         "config"],
        capture_output=True, text=True, timeout=60, check=False, env={"PATH": os.environ["PATH"]},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return yaml.safe_load(done.stdout)


def test_compose_takes_its_file_and_we_take_the_commands_in_it(composed: dict[str, Any]) -> None:
    services = composed["services"]
    ours = {name: one for name, one in services.items() if one["image"] == "quietwater:0.1.0"}
    assert {"ingest", "analysis", "serve", "setup", "broker-files", "backup"} == set(ours)
    for name, one in ours.items():
        assert one["read_only"] and one["cap_drop"] == ["ALL"], name
        if "entrypoint" not in one:
            _demand_understood(one["command"], one["environment"])
    for name, one in services.items():
        assert one["security_opt"] == ["no-new-privileges:true"], name
    published = {name for name, one in services.items() if "ports" in one}
    assert published == {"caddy", "mosquitto", "grafana"}
    assert services["grafana"]["ports"] == ["127.0.0.1:3000:3000/tcp"]


def test_its_prometheus_asks_the_parts_that_there_are(
    composed: dict[str, Any], program: Callable[[str], str]
) -> None:
    file = COMPOSE / "prometheus.yml"
    done = subprocess.run(
        [program("promtool"), "check", "config", "--syntax-only", str(file)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    for job in yaml.safe_load(file.read_text())["scrape_configs"]:
        assert Path(job["authorization"]["credentials_file"]).name in composed["secrets"]
        for static in job["static_configs"]:
            service, port = static["targets"][0].split(":")
            assert port in composed["services"][service]["command"]


def test_it_is_refused_before_it_is_prepared(program: Callable[[str], str], tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text((COMPOSE / "compose.yaml").read_text())
    done = subprocess.run(
        [program("docker-compose"), "-f", str(tmp_path / "compose.yaml"), "config"], cwd=tmp_path,
        capture_output=True, text=True, timeout=60, check=False, env={"PATH": os.environ["PATH"]},
    )  # fmt: skip
    assert done.returncode != 0 and "run prepare.sh first" in done.stderr


@pytest.mark.parametrize("script", ["prepare.sh", "setup.sh", "mosquitto.sh", "backup.sh"])
def test_the_scripts_are_clean(program: Callable[[str], str], script: str) -> None:
    done = subprocess.run(
        [program("shellcheck"), "--shell=sh", str(COMPOSE / script)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_the_commands_in_the_scripts_are_ours() -> None:
    lines = [
        line.strip().removeprefix("if ").removesuffix("; then").removesuffix(" || return 1")
        for script in ("setup.sh", "backup.sh")
        for line in (COMPOSE / script).read_text().splitlines()
        if "quietwater" in line and not line.lstrip().startswith(("#", "if ["))
    ]
    commands = [shlex.split(line)[1:] for line in lines if line.startswith("quietwater ")]
    assert len(commands) >= 5
    for words in commands:
        _demand_understood(words, {"QUIETWATER_STORE": "http://influxdb:8086?org=quietwater"})


# -- the chart ---------------------------------------------------------------------------------------------------

VALUES: list[dict[str, Any]] = [
    {"host": "quietwater.example"},
    {
        "host": "quietwater.example", "data": {"accessMode": "ReadWriteOnce", "storageClass": "fast"},
        "registry": {"url": "postgresql://qw@db.example/qw"}, "store": {"url": "https://influx.example?org=qw"},
        "existingSecret": "mine", "ingress": {"className": "nginx", "annotations": {"a": "b"}},
        "ingest": {"replicas": 4}, "serviceMonitor": {"enabled": True}, "imagePullSecrets": [{"name": "pull"}],
    },
    {"host": "quietwater.example", "backup": {"enabled": False}, "networkPolicy": {"enabled": False},
     "ingress": {"enabled": False}, "mosquitto": {"service": {"type": "NodePort"}}},
]  # fmt: skip


@pytest.mark.parametrize("values", VALUES, ids=["as it comes", "own servers", "little"])
def test_helm_finds_nothing_and_kubernetes_would_take_what_it_renders(values: dict[str, Any]) -> None:
    import kubernetes_validate

    found = helm.lint(str(CHART), values, strict=True)
    assert [one for one in found["messages"] if one["error"] != "icon is recommended"] == []
    resources = list(_rendered(values))
    for version in VERSIONS:
        for one in resources:
            if one["kind"] != "ServiceMonitor":  # the operator's own kind
                kubernetes_validate.validate(one, version, strict=True)
    assert len({(one["kind"], one["metadata"]["name"]) for one in resources}) == len(resources)


@pytest.mark.parametrize(
    ("values", "cause"),
    [
        ({}, "host"),
        ({"host": "Not A Host"}, "host"),
        ({"host": "a.example", "ingest": {"replicas": 0}}, "replicas"),
        ({"host": "a.example", "registry": {"url": "postgresql://qw:secret@db/qw"}}, "url"),
    ],
)
def test_values_that_cannot_be_are_refused(values: dict[str, Any], cause: str) -> None:
    with helm.Chart.load(str(CHART)) as chart, pytest.raises(helm.HelmError, match=cause):
        chart.render(values, name="qw", namespace="quiet")


def test_our_commands_in_it_are_understood_and_its_secrets_and_volumes_are_there() -> None:
    resources = list(_rendered(VALUES[0]))
    by_name = {(one["kind"], one["metadata"]["name"]): one for one in resources}
    commands = 0
    for one in resources:
        pod = _pod(one)
        if pod is None:
            continue
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        claims = {claim["metadata"]["name"] for claim in one["spec"].get("volumeClaimTemplates", ())}
        for volume in volumes.values():
            if "secret" in volume:
                secret = by_name["Secret", volume["secret"]["secretName"]]
                assert {item["key"] for item in volume["secret"].get("items", ())} <= set(secret["data"])
            if "configMap" in volume:
                assert ("ConfigMap", volume["configMap"]["name"]) in by_name
            if "persistentVolumeClaim" in volume:
                assert ("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]) in by_name
        for container in [*pod["containers"], *pod.get("initContainers", ())]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            mounted = {mount["name"] for mount in container["volumeMounts"]}
            assert mounted <= set(volumes) | claims, (one["metadata"]["name"], container["name"])
            if container["image"] == "quietwater:0.1.0" and "command" not in container:
                environment = {pair["name"]: pair.get("value", "pod-0") for pair in container["env"]}
                pod_name = f"{one['metadata']['name']}-{one['spec']['replicas'] - 1}"
                words = [word.replace("$(POD_NAME)", pod_name) for word in container["args"]]
                _demand_understood(words, environment)
                commands += 1
    assert commands == 4


def test_the_parts_find_one_another() -> None:
    resources = list(_rendered(VALUES[0]))
    services = {one["metadata"]["name"]: one for one in resources if one["kind"] == "Service"}
    pods = [one["spec"]["template"] for one in resources if one["kind"] == "StatefulSet"]
    for name, one in services.items():
        selected = [
            pod for pod in pods if one["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
        ]
        assert len(selected) == 1, name
        names = {port["name"] for part in selected[0]["spec"]["containers"] for port in part.get("ports", ())}
        assert {port["targetPort"] for port in one["spec"]["ports"]} <= names
    (serve,) = (one for one in resources if one["metadata"]["name"] == "qw-quietwater-serve" and _pod(one))
    environment = serve["spec"]["template"]["spec"]["containers"][0]["env"]
    told = " ".join(str(pair.get("value")) for pair in environment)
    for service in ("qw-quietwater-postgres", "qw-quietwater-influxdb", "qw-quietwater-mosquitto"):
        assert service in services and service in told


def _rendered(values: dict[str, Any]) -> Iterator[dict[str, Any]]:
    with helm.Chart.load(str(CHART)) as chart:
        texts = chart.render(values, name="qw", namespace="quiet")
    for name, text in texts.items():
        if name.endswith(".yaml"):
            yield from (one for one in yaml.safe_load_all(text) if one)


def _pod(resource: dict[str, Any]) -> dict[str, Any] | None:
    if resource["kind"] == "StatefulSet":
        return resource["spec"]["template"]["spec"]
    if resource["kind"] == "CronJob":
        return resource["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return None


def _demand_understood(words: list[str], environment: dict[str, Any]) -> None:
    """Parse a command line as ``quietwater`` does, with what it reads from its environment; nothing is run."""
    command: click.Command = main
    context = click.Context(main, info_name="quietwater", obj=Path("data"))
    rest = list(words)
    patch = pytest.MonkeyPatch()
    try:
        for name, value in environment.items():
            if not name.endswith("_FILE"):
                patch.setenv(name, str(value))
        while isinstance(command, click.Group):
            _, found, rest = command.resolve_command(context, rest)
            assert found is not None
            command = found
            if not isinstance(command, click.Group):
                break
        with command.make_context(command.name, rest, parent=context) as made:
            assert made.command is command
    finally:
        patch.undo()
