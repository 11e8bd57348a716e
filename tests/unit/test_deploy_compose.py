"""deploy/compose.yaml and the image: valid, complete, nothing more allowed than needed, and no secret in a file."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import typer
import yaml

from detector import VERSION, config_file
from detector.cli import app
from detector.metrics import Metrics
from detector.monitoring import MonitoringServer
from tests.support.deployed import COMPOSE, CONFIG, ROOT, WORKERS, compose, secrets
from tests.support.linters import lint

DEPLOY: Final = ROOT / "deploy"
DOCKERFILE: Final = DEPLOY / "Dockerfile"
SERVICES: Final[dict[str, Any]] = compose()["services"]
OURS: Final = {name for name, service in SERVICES.items() if "rogue-agent-detector" in service["image"]}
STYLE: Final = (
    "{extends: default, rules: {line-length: {max: 120}, document-start: disable, braces: {max-spaces-inside: 1}, "
    "comments: {min-spaces-from-content: 1, require-starting-space: false}}}"
)


def mounts() -> Iterator[tuple[str, str, str]]:
    """Service, source and target of every file or folder that is mounted."""
    for name, service in SERVICES.items():
        for mount in service.get("volumes", ()):
            source, target, *_ = mount.split(":")
            if source.startswith("."):
                yield name, source, target


def test_the_file_is_of_the_compose_specification() -> None:
    status, said = lint("check-jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE)
    assert status == 0, said


def test_a_file_that_is_not_is_found(tmp_path: Path) -> None:
    broken = tmp_path / "compose.yaml"
    broken.write_text(COMPOSE.read_text("utf-8").replace("read_only: true", "readonly: true"))
    status, _ = lint("check-jsonschema", "--builtin-schema", "vendor.compose-spec", broken)
    assert status == 1


def test_the_files_are_tidy() -> None:
    folders = [DEPLOY / name for name in ("compose", "grafana/provisioning", "alertmanager", "systemd")]
    status, said = lint("yamllint", "--strict", "--config-data", STYLE, COMPOSE, *folders)
    assert status == 0, said


def test_what_is_mounted_is_there() -> None:
    found = list(mounts())
    assert len(found) > 10
    for name, source, _ in found:
        assert (COMPOSE.parent / source).exists(), (name, source)


def test_the_detectors_configuration_is_mounted_with_its_folder() -> None:
    """Of a file alone the container would go on to see the one that an editor, or `git pull`, has replaced."""
    targets = {target: COMPOSE.parent / source for _, source, target in mounts() if target.startswith("/etc/detector")}
    assert list(targets) == ["/etc/detector"]
    assert [path.name for path in targets["/etc/detector"].iterdir()] == [CONFIG.name]


def test_images_have_a_tag_and_can_be_others() -> None:
    for name, service in SERVICES.items():
        match = re.fullmatch(r"\$\{[A-Z]+_IMAGE:-[\w./-]+:([\w.]+)\}", service["image"])
        assert match is not None, name
        assert match[1] != "latest"
    assert {SERVICES[name]["image"] for name in OURS} == {f"${{DETECTOR_IMAGE:-rogue-agent-detector:{VERSION}}}"}


def test_no_container_may_more_than_it_needs() -> None:
    for name, service in SERVICES.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert all(str(port).startswith("127.0.0.1:") for port in service.get("ports", ())), name
        assert service.get("read_only", False) or name in {"kafka", "clickhouse", "grafana"}, name
        assert not service.get("privileged")
    for name in OURS:
        assert SERVICES[name]["tmpfs"] == ["/tmp"]  # noqa: S108 - within the container
        assert not {"cap_add", "user", "ports"} & SERVICES[name].keys()


def test_who_waits_for_somebody_can_know_when_it_is_there() -> None:
    in_the_image = "HEALTHCHECK" in DOCKERFILE.read_text(encoding="utf-8")
    for name, service in SERVICES.items():
        for other, wait in service.get("depends_on", {}).items():
            disabled = SERVICES[other].get("healthcheck", {}).get("disable", False)
            if wait["condition"] == "service_healthy":
                own = "test" in SERVICES[other].get("healthcheck", {})
                assert own or (other in OURS and in_the_image and not disabled), (name, other)
            else:
                assert wait["condition"] == "service_completed_successfully"
                assert SERVICES[other]["restart"] == "no"
    assert all(SERVICES[name]["stop_grace_period"] == "30s" for name in WORKERS)


def test_the_program_takes_the_commands() -> None:
    program = typer.main.get_command(app)
    for name in OURS - {"demo"}:
        assert "entrypoint" not in SERVICES[name]
        words = list(SERVICES[name]["command"])
        found: Any = program
        while hasattr(found, "commands"):
            found = found.commands[words.pop(0)]
        assert found.make_context(name, words).params["config"] == Path("/etc/detector/detector.yaml")


def test_the_configuration_is_valid_and_holds_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = config_file.load(CONFIG)
    assert settings.kafka.instance_id is None, "one file for all: the name comes from the environment"
    assert settings.store.password is not None
    assert settings.store.password.file == Path("/run/secrets/clickhouse-detector")
    names = []
    for worker in WORKERS:
        told = SERVICES[worker]["environment"]
        monkeypatch.setenv("DETECTOR_KAFKA__INSTANCE_ID", told["DETECTOR_KAFKA__INSTANCE_ID"])
        names.append(config_file.load(CONFIG).kafka.instance_id)
    assert len(set(names)) == len(WORKERS)
    for name, value in SERVICES["migrate"]["environment"].items():
        monkeypatch.setenv(name, value)
    admin = config_file.load(CONFIG).store
    assert (admin.url, str(admin.password.file if admin.password else "")) == (
        "http://admin@clickhouse:8123/detector",
        "/run/secrets/clickhouse-admin",
    )


def test_prometheus_finds_every_worker() -> None:
    (group,) = yaml.safe_load((DEPLOY / "compose/targets/detector.yml").read_text(encoding="utf-8"))
    assert group["targets"] == [f"{name}:9464" for name in WORKERS]
    (group,) = yaml.safe_load((DEPLOY / "compose/targets/alertmanager.yml").read_text(encoding="utf-8"))
    assert group["targets"] == ["alertmanager:9093"]


def test_every_secret_is_made_and_stays_as_it_is(tmp_path: Path) -> None:
    made = secrets(tmp_path)
    first = {path.name: path.read_bytes() for path in made.iterdir()}
    told = {each["file"].removeprefix("${SECRETS:-./compose/secrets}/") for each in compose()["secrets"].values()}
    assert told == set(first)
    assert secrets(tmp_path) == made
    assert {path.name: path.read_bytes() for path in made.iterdir()} == first
    assert made.stat().st_mode & 0o777 == 0o700
    passwords = [value for name, value in first.items() if not name.endswith(".sql")]
    assert len(set(passwords)) == len(passwords)
    assert all(len(password) == 48 for password in passwords)


def test_each_secret_goes_to_whom_it_concerns_and_nobody_else() -> None:
    used = {
        name: {each if isinstance(each, str) else each["source"] for each in service.get("secrets", ())}
        for name, service in SERVICES.items()
    }
    assert set().union(*used.values()) == set(compose()["secrets"])
    assert [name for name, theirs in used.items() if "clickhouse-admin" in theirs] == ["migrate"]
    assert used["migrate"] == {"clickhouse-admin"}
    assert {name for name, theirs in used.items() if "clickhouse-detector" in theirs} == OURS - {"migrate"}


def test_the_users_of_the_store_have_roles_that_exist(tmp_path: Path) -> None:
    users = (secrets(tmp_path) / "clickhouse-users.sql").read_text(encoding="utf-8")
    roles = (DEPLOY / "clickhouse/roles.sql").read_text(encoding="utf-8")
    granted = dict(re.findall(r"^GRANT (\w+) TO (\w+);$", users, re.MULTILINE))
    assert granted == {"detector_writer": "detector", "detector_admin": "admin", "analyst": "grafana"}
    assert all(f"CREATE ROLE IF NOT EXISTS {role};" in roles for role in granted)
    expected = re.findall(r"CREATE USER IF NOT EXISTS (\w+) IDENTIFIED WITH sha256_hash BY '([0-9a-f]{64})'", users)
    for user, digest in expected:
        said = subprocess.run(
            ["sha256sum", tmp_path / f"secrets/clickhouse-{user}"], capture_output=True, text=True, check=True
        )
        assert said.stdout.split()[0] == digest


def test_the_dockerfile_is_clean() -> None:
    status, said = lint("hadolint", DOCKERFILE)
    assert status == 0, said


def test_the_build_sees_what_it_copies_and_nothing_else() -> None:
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE.read_text(encoding="utf-8"), re.MULTILINE)
    sources = {source for line in copied for source in line.split()}
    assert all((ROOT / source).exists() for source in sources)
    lines = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    assert {line[1:] for line in lines if line.startswith("!")} == sources
    assert "*" in lines


def test_the_last_stage_builds_nothing_and_runs_as_nobody_in_particular() -> None:
    *_, last = DOCKERFILE.read_text(encoding="utf-8").split("\nFROM ")
    assert not re.search(r"\b(pip install|apt-get|gcc|curl)\b", last)
    assert re.search(r"^USER 10001:10001$", last, re.MULTILINE)
    assert f"ARG VERSION={VERSION}\n" in last
    assert re.findall(r"^(?:ENTRYPOINT|STOPSIGNAL) (.+)$", last, re.MULTILINE) == ["SIGTERM", '["detector"]']


@pytest.mark.parametrize("healthy", [True, False])
def test_the_healthcheck_asks_the_service(healthy: bool) -> None:
    text = DOCKERFILE.read_text(encoding="utf-8").replace("\\\n", "")
    (code,) = re.findall(r'HEALTHCHECK .*CMD \["python", "-c", "(.+)"\]', text)
    with MonitoringServer(Metrics().registry, port=0, healthy=lambda: (healthy, [])) as server:
        command = [sys.executable, "-c", code.replace("9464", str(server.port))]
        done = subprocess.run(command, capture_output=True, timeout=30, check=False)
    assert (done.returncode == 0) is healthy, done.stderr


def test_the_scripts_are_valid() -> None:
    assert subprocess.run(["sh", "-n", DEPLOY / "compose/secrets.sh"], check=False).returncode == 0
    (line,) = re.findall(r"^#\s+(docker build .+)$", DOCKERFILE.read_text(encoding="utf-8"), re.MULTILINE)
    assert shlex.split(line)[-3:] == ["--tag", f"rogue-agent-detector:{VERSION}", "."]
