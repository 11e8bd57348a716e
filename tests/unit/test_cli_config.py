"""`check`, `config schema` and `reload`, as a person or a script meets them."""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from prometheus_client import CollectorRegistry
from typer.testing import CliRunner, Result

from detector import config_screen
from detector.cli import app
from detector.config import Config, Metrics
from detector.config_base import ConfigError
from detector.config_file import load, parse, read
from detector.config_versions import short_hash
from detector.monitoring import RELOAD_PATH, MonitoringServer, server_context
from detector.reload_request import address
from tests.support.certificates import Authority
from tests.support.readme import README

TOKEN = "t0ken-of-the-operator"  # noqa: S105 - of a server that lives for this test

FULL = """
sources: [{topic: trail, format: cloudtrail}, {topic: events}]
webhook: {url: "https://hook.example/", secret: {env: HOOK_KEY}}
charters: {roles: {"odd: name": {needs_approval: ["yes", delete]}}}
destinations: {internal: ["s3://corp-*", 10.0.0.0/8]}
mutes:
  - {name: m, reason: "it's fine: really", owner: ops, expires: 2026-01-01T00:00:00Z, roles: [x]}
overrides:
  - {name: night, reason: r, roles: [backup], between: "02:00-04:00", days: [sat], threshold: 9}
  - {name: old, reason: r, detectors: [transfer_rate], settings: {min_bytes: 7}, expires: 2026-01-02T00:00:00Z}
"""


@pytest.fixture
def full(tmp_path: Path) -> Path:
    file = tmp_path / "detector.yaml"
    file.write_text(FULL)
    return file


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


# --- check


def test_check_shows_where_each_value_came_from(full: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETECTOR_STATE__EVERY", "60")
    monkeypatch.setattr("detector.screens.PIPE_WIDTH", 400)
    shown = invoke("check", "--config", full)
    assert shown.exit_code == 0
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in shown.stdout.splitlines() if "│" in line]
    assert ["state.every", "60.0", "DETECTOR_STATE__EVERY"] in rows
    assert ["state.url", "file://./var/state", "default"] in rows
    assert ["overrides.0.threshold", "9.0", f"{full}:9"] in rows
    assert ["overrides.1.settings.min_bytes", "7", f"{full}:10"] in rows
    assert ["webhook.secret.env", "HOOK_KEY", f"{full}:3"] in rows


def test_check_tells_what_holds_no_more(full: Path) -> None:
    said = invoke("check", "--config", full).stderr.splitlines()
    assert [line.partition(":")[0] for line in said if "expired" in line] == [
        "mute m (ops) expired on 2026-01-01 00",
        "override old expired on 2026-01-02 00",
    ]


def test_check_tells_what_hangs_on_a_role_that_the_log_may_give_to_anybody(tmp_path: Path) -> None:
    file = tmp_path / "detector.yaml"
    given = "reason: r, owner: o, expires: 9999-01-01T00:00:00Z"
    orders = (
        f"overrides: [{{name: claimed, {given}, roles: [backup], threshold: 9}},"
        f" {{name: whose, {given}, roles: [backup], principals: [svc-*], threshold: 9}},"
        f" {{name: all, {given}, detectors: [behaviour], threshold: 9}},"
        f" {{name: old, {given.replace('9999', '1999')}, roles: [backup], threshold: 9}}]\n"
        f"mutes: [{{name: quiet, {given}, roles: [back*]}}]\n"
    )
    pin = "labels: {principals: [{match: [svc-*], role: backup, pin: true}]}\n"
    told = []
    for text in (orders, orders + pin, orders.replace("back*", "backup") + pin):
        file.write_text(text)
        shown = invoke("check", "--config", file)
        assert shown.exit_code == 0
        told.append([line.partition(":")[0] for line in shown.stderr.splitlines() if "expired" not in line])
    assert told == [["override claimed, mute quiet"], ["mute quiet"], []]


def test_check_as_yaml_is_a_file_that_gives_the_same_configuration(full: Path) -> None:
    shown = invoke("check", "--config", full, "--format", "yaml").stdout
    assert parse(shown, "shown.yaml") == load(full)
    assert f"threshold: 9.0  # {full}:9\n" in shown
    assert parse(config_screen.as_yaml(read(None, {})), "defaults.yaml") == Config()


def test_check_as_json_is_for_programs(full: Path) -> None:
    told = json.loads(invoke("check", "--config", full, "--format", "json").stdout)
    assert told["hash"] == short_hash(load(full))
    assert told["config"]["overrides"][0]["threshold"] == 9.0
    assert told["from"]["overrides.0.threshold"] == f"{full}:9"
    assert "state.every" not in told["from"]


# --- the schema


@pytest.fixture(scope="module")
def validator() -> Any:
    schema = json.loads(config_screen.schema())
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    return jsonschema.Draft202012Validator(schema)


def plain(text: str) -> Any:
    """YAML as an editor's checker sees it: times are text."""
    return json.loads(json.dumps(yaml.safe_load(text), default=lambda time: time.isoformat()))


def test_the_example_configurations_keep_to_the_schema(validator: Any) -> None:
    examples = re.findall(r"```yaml\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert examples
    deployed = [file.read_text(encoding="utf-8") for file in README.parent.glob("deploy/**/detector.yaml")]
    for text in (*examples, *deployed, FULL, config_screen.as_yaml(read(None, {}))):
        if "apiVersion:" not in text:  # a manifest of Kubernetes
            parse(text, "example.yaml")
            validator.validate(plain(text))


@pytest.mark.parametrize(
    "text",
    [
        "kafka: {bootstrap_server: [a]}",
        "state: {every: 0}",
        "format: syslog",
        "overrides: [{name: n}]",
        "overrides: [{name: n, reason: r, days: [monday]}]",
        "detectors: {transfer_rate: {outside_p: 2}}",
    ],
)
def test_the_schema_knows_what_is_wrong(validator: Any, text: str) -> None:
    with pytest.raises(jsonschema.ValidationError):
        validator.validate(plain(text))
    with pytest.raises(ConfigError):
        parse(text, "detector.yaml")


def test_the_schema_tells_defaults_and_meanings(tmp_path: Path) -> None:
    assert invoke("config", "schema", "--out", tmp_path / "schema.json").exit_code == 0
    written = (tmp_path / "schema.json").read_bytes()
    assert invoke("config", "schema").stdout.encode() == written
    state = json.loads(written)["$defs"]["State"]["properties"]["every"]
    assert state == {
        "default": 30.0,
        "description": "Seconds between checkpoints.",
        "exclusiveMinimum": 0,
        "title": "Every",
        "type": "number",
    }


# --- reload


class Service:
    """A service that answers what it is told to."""

    def __init__(self) -> None:
        self.answer: tuple[int, Sequence[str]] = (200, ["ab12 is in force; 1 setting changed: overrides"])
        self.asked = 0

    def reload(self, _: bytes) -> tuple[int, Sequence[str]]:
        """What is done at /-/reload."""
        self.asked += 1
        return self.answer


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def served(service: Service, tmp_path: Path) -> Iterator[Path]:
    """The configuration of a service that listens."""
    (tmp_path / "token").write_text(TOKEN)
    with MonitoringServer(CollectorRegistry(), port=0, posts={RELOAD_PATH: service.reload}, token=TOKEN) as server:
        file = tmp_path / "detector.yaml"
        file.write_text(f"metrics: {{port: {server.port}, token: {{file: '{tmp_path / 'token'}'}}}}\n")
        yield file


def test_the_service_is_asked_at_the_address_and_with_the_token_of_the_configuration(
    served: Path, service: Service
) -> None:
    done = invoke("reload", "--config", served)
    assert (done.exit_code, done.stdout, service.asked) == (0, "ab12 is in force; 1 setting changed: overrides\n", 1)


def test_what_the_service_does_not_take_is_told_and_fails(served: Path, service: Service) -> None:
    service.answer = 500, ["detector.yaml:2: `kafka.group_id` can't be changed"]
    port = yaml.safe_load(served.read_text())["metrics"]["port"]
    done = invoke("reload", "--config", served)
    assert isinstance(done.exception, ConfigError)
    assert str(done.exception).splitlines() == [
        "detector.yaml:2: `kafka.group_id` can't be changed",
        f"http://127.0.0.1:{port} did not reload: it goes on with what it has",
    ]


def test_several_services_are_asked_in_turn(served: Path, service: Service) -> None:
    url = f"http://127.0.0.1:{yaml.safe_load(served.read_text())['metrics']['port']}"
    done = invoke("reload", "--config", served, "--url", url, "--url", url)
    assert (done.exit_code, service.asked) == (0, 2)


def test_a_file_that_is_wrong_is_told_without_asking(served: Path, service: Service) -> None:
    served.write_text(served.read_text() + "state: {every: soon}\n")
    done = invoke("reload", "--config", served)
    assert "`state.every` must be a number" in str(done.exception)
    assert str(done.exception).endswith("the service was not asked: it goes on with what it has")
    assert service.asked == 0


def test_a_service_that_does_not_answer_is_told_with_what_to_look_at(served: Path) -> None:
    with MonitoringServer(CollectorRegistry(), port=0) as gone:
        port = gone.port
    done = invoke("reload", "--config", served, "--url", f"http://127.0.0.1:{port}")
    assert isinstance(done.exception, ConfigError)
    assert f"the service at http://127.0.0.1:{port} does not answer" in str(done.exception)


@pytest.mark.parametrize(("token", "why"), [("other", "401 a bearer token is asked for")])
def test_a_token_that_is_not_the_services_is_told(served: Path, service: Service, token: str, why: str) -> None:
    (served.parent / "token").write_text(token)
    done = invoke("reload", "--config", served)
    assert why in str(done.exception)
    assert token not in str(done.exception).replace("another", "")
    assert service.asked == 0


def test_a_certificate_of_ones_own_is_known(service: Service, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("metrics")
    tls = server_context(pair.cert, pair.key)
    with MonitoringServer(CollectorRegistry(), port=0, posts={RELOAD_PATH: service.reload}, tls=tls) as server:
        file = tmp_path / "detector.yaml"
        file.write_text(f"metrics: {{port: {server.port}, cert_file: {pair.cert}, key_file: {pair.key}}}\n")
        refused = invoke("reload", "--config", file)
        done = invoke("reload", "--config", file, "--ca-file", authority.ca)
    assert "does not answer" in str(refused.exception)
    assert (done.exit_code, service.asked) == (0, 1)


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({}, "http://127.0.0.1:9464"),
        ({"address": "0.0.0.0", "port": 1}, "http://127.0.0.1:1"),  # noqa: S104 - not listened on
        ({"address": "::", "port": 1}, "http://[::1]:1"),
        ({"address": "10.1.1.1", "cert_file": "c", "key_file": "k"}, "https://10.1.1.1:9464"),
    ],
)
def test_where_a_service_is(settings: dict[str, Any], url: str) -> None:
    assert address(Metrics.model_validate(settings)) == url


def test_a_port_that_was_left_to_chance_must_be_given() -> None:
    with pytest.raises(ConfigError, match="--url"):
        address(Metrics(port=0))
