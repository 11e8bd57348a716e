"""Versions of the configuration: one hash for what judges alike, and on all that was made under it."""

import hashlib
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pydantic import ValidationError

from detector import VERSION, assembly
from detector.alerts import Alert
from detector.config import Config
from detector.config_changes import differences
from detector.config_digests import MODEL_SETTING, ModelWatch, revived
from detector.config_file import load
from detector.config_paths import dotted
from detector.config_versions import SHORT, body, config_version, short_hash
from detector.exposure_versions import ExposureVersion
from detector.findings import Finding
from detector.replay import Replay
from detector.sinks.base import Batch, Noun, Refused, Sink
from detector.sources.files import FileSource

SAMPLE = Path(__file__).parents[2] / "sample_logs" / "advice_exposure" / "events.ndjson.gz"
AT = datetime(2026, 3, 2, tzinfo=UTC)


class Kept(Sink):
    """Keeps what a replay makes."""

    name = "kept"
    accepts: frozenset[Noun] = frozenset({"findings", "alerts", "exposures"})

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.alerts: list[Alert] = []
        self.exposures: list[ExposureVersion] = []

    def write(self, batch: Batch) -> list[Refused]:
        """Keep them."""
        self.findings += batch.findings
        self.alerts += batch.alerts
        self.exposures += batch.exposures
        return []

    def close(self) -> None:
        """Nothing is held."""


def replayed(config: Config) -> Kept:
    kept = Kept()
    replay = Replay(assembly.pipeline(config), assembly.decoder(config), [kept])
    replay.run(FileSource(str(SAMPLE), time.time))
    return kept


def test_the_hash_is_of_the_body_as_it_stands() -> None:
    version = config_version(Config(), AT)
    assert hashlib.sha256(version.body.encode()).hexdigest() == version.hash
    assert (version.first_seen, version.version, version.source) == (AT, VERSION, "start")
    assert short_hash(Config()) == version.hash[:SHORT]


def test_the_body_is_canonical_json_of_every_setting() -> None:
    text = body(Config())
    told = msgspec.json.decode(text)
    assert msgspec.json.encode(told, order="sorted").decode() == text
    assert told["correlation"]["exposure_limit"] == 300.0
    assert set(told) == set(Config.model_fields)


@pytest.mark.parametrize(
    "change",
    [
        {"correlation": {"window": 7201}},
        {"store": {"url": "http://me@host:8123/audit"}},
        {"content": {"keep": True}},
        {"detectors": {"transfer_rate": {"enabled": False}}},
        {
            "mutes": [
                {"name": "m", "owner": "me", "reason": "r", "expires": "2027-01-01T00:00:00Z", "roles": ["backup"]}
            ]
        },
    ],
)
def test_another_configuration_has_another_hash(change: dict[str, Any]) -> None:
    assert short_hash(Config.model_validate(change)) != short_hash(Config())


@pytest.mark.parametrize(
    "change", [{"kafka": {"instance_id": "worker-3"}}, {"metrics": {"port": 9999, "address": "10.0.0.7"}}]
)
def test_the_processes_of_a_group_have_one_configuration(change: dict[str, Any]) -> None:
    assert short_hash(Config.model_validate(change)) == short_hash(Config())


def test_a_secret_is_told_by_where_it_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK", "hunter2")
    hook = {"webhook": {"url": "https://hooks.example/", "secret": {"env": "HOOK"}}}
    text = body(Config.model_validate(hook))
    assert "hunter2" not in text
    assert '"env":"HOOK"' in text


def test_what_is_made_says_what_it_was_made_under() -> None:
    config = Config.model_validate({"correlation": {"exposure_limit": 240}})
    kept = replayed(config)
    made: list[Finding | Alert | ExposureVersion] = [*kept.findings, *kept.alerts, *kept.exposures]
    assert all((kept.findings, kept.alerts, kept.exposures))
    assert {one.config for one in made} == {short_hash(config)}
    assert any(finding.rule == "unauthorised_read" for finding in kept.findings), "those of correlation too"
    assert {version.limit_seconds for version in kept.exposures} == {240.0}


def test_the_configuration_is_no_part_of_what_a_thing_is() -> None:
    """Ids are the same under another hash, or a restart with a changed setting would tell all open things again."""
    plain, other = replayed(Config()), replayed(Config.model_validate({"content": {"keep": True}}))
    without = [[msgspec.structs.replace(f, config="") for f in kept.findings] for kept in (plain, other)]
    assert without[0] == without[1]
    alerts = [[msgspec.structs.replace(alert, config="") for alert in kept.alerts] for kept in (plain, other)]
    assert alerts[0] == alerts[1]
    assert plain.findings[0].config != other.findings[0].config


def test_an_alert_says_under_what_this_version_was_made_after_a_restart() -> None:
    """A version that was told before stays as it was told, the next is of the new configuration."""
    first, second = Config(), Config.model_validate({"correlation": {"window": 3600}})
    correlator = assembly.correlator(first)
    for finding in replayed(first).findings:
        correlator.step(finding)
    anew = assembly.correlator(second)
    anew.restore(msgspec.json.decode(msgspec.json.encode(correlator.snapshot())))
    assert {alert.config for alert in anew.open()} == {short_hash(first)}
    ended = anew.advance(4e9).alerts
    assert ended
    assert {alert.config for alert in ended} == {short_hash(second)}


def test_state_from_before_findings_had_a_configuration_is_read() -> None:
    old = msgspec.to_builtins(replayed(Config()).alerts[0])
    del old["config"]
    assert msgspec.convert(old, Alert).config == ""


def test_the_hash_is_the_same_in_every_process() -> None:
    """Sets have another order in each; a charter is made of them."""
    script = (
        "from detector.config import Config; from detector.config_versions import short_hash\n"
        "names = ['delete', 'send', 'publish', 'grant', 'read']\n"
        "charter = {'actions': names, 'needs_approval': names, 'sensitivities': ['public', 'internal', 'restricted']}\n"
        "print(short_hash(Config.model_validate({'charters': {'roles': {'mail': charter}}})))"
    )
    hashes = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            timeout=60,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(hashes) == 1, hashes


def named(folder: Path, model: bytes | None = b"one") -> Path:
    """A file of configuration that names a model, and the model."""
    if model is not None:
        (folder / "m.skops").write_bytes(model)
    file = folder / "detector.yaml"
    file.write_text(f"detectors: {{forest_challenger: {{model: {folder / 'm.skops'}}}}}")
    return file


def test_another_model_by_the_same_name_is_another_version(tmp_path: Path) -> None:
    one = load(named(tmp_path))
    again, two = load(named(tmp_path)), load(named(tmp_path, b"two"))
    assert short_hash(one) == short_hash(again) != short_hash(two)
    assert msgspec.json.decode(body(two))["files"] == {MODEL_SETTING: hashlib.sha256(b"two").hexdigest()}
    assert [dotted(path) for path in differences(one, two)] == [MODEL_SETTING]
    assert differences(one, again) == []
    assert short_hash(two.model_copy(update={"overrides": ()})) == short_hash(two), "a copy names it, too"
    assert "files" not in msgspec.json.decode(body(Config())), "most have none"


def test_a_stored_version_is_revived_with_the_files_of_today(tmp_path: Path) -> None:
    one = load(named(tmp_path))
    stored = body(one)
    assert revived(stored) == (one, [])
    assert short_hash(revived(stored).config) == short_hash(one)
    two = load(named(tmp_path, b"two"))
    assert revived(stored) == (two, [MODEL_SETTING])
    assert revived(body(Config())) == (Config(), [])
    for wrong in ("{", '"text"', '{"nothing": 1}'):
        with pytest.raises(ValidationError):
            revived(wrong)


def test_a_model_is_watched_by_what_is_in_it(tmp_path: Path) -> None:
    in_force = load(named(tmp_path))
    watch = ModelWatch(lambda: in_force)
    model = tmp_path / "m.skops"
    assert [watch.changed() for _ in range(3)] == [False, False, False]
    model.write_bytes(b"tw")
    assert watch.changed() is False, "somebody may still be at it"
    model.write_bytes(b"two")
    assert [watch.changed() for _ in range(3)] == [False, True, False], "once, though nobody took it"
    in_force = load(named(tmp_path, None))
    assert [watch.changed() for _ in range(3)] == [False, False, False], "it is in force"
    model.write_bytes(b"three")
    model.write_bytes(b"two")
    assert [watch.changed() for _ in range(3)] == [False, False, False], "as it was"
    model.unlink()
    assert [watch.changed() for _ in range(3)] == [False, True, False]


def test_a_model_that_came_before_the_first_look_is_seen(tmp_path: Path) -> None:
    in_force = load(named(tmp_path))
    named(tmp_path, b"two")
    watch = ModelWatch(lambda: in_force)
    assert [watch.changed() for _ in range(3)] == [False, True, False]
