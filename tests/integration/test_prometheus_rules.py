"""The rules of deploy/prometheus: valid, made to fire and not to fire, about metrics that exist, with a runbook."""

import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from detector.metrics import STAGES, Metrics
from detector.severity import SEVERITIES
from detector.store.client import Store
from tests.support.certificates import Authority
from tests.support.prometheus import FILES, copied, take_in_tls, tool

ROOT: Final = Path(__file__).parents[2]
RULES: Final = sorted((FILES / "rules").glob("*.yml"))
TESTS: Final = sorted((FILES / "tests").glob("*.yml"))
RUNBOOK: Final = "deploy/prometheus/RUNBOOK.md"

# Made by Prometheus itself, or by the client library for every process.
OF_OTHERS: Final = {"up", "process_start_time_seconds"}
_METRIC = re.compile(r"(?<![\w:])(detector_\w+|process_\w+|up)\b(?!\s*\()")
_RECORDED = re.compile(r"\w+:\w+:\w+")


def rules() -> list[dict[str, Any]]:
    groups = [group for path in RULES for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]]
    return [rule for group in groups for rule in group["rules"]]


ALERTS: Final = [rule for rule in rules() if "alert" in rule]
RECORDED: Final = [rule for rule in rules() if "record" in rule]


def names(alerts: list[dict[str, Any]]) -> list[str]:
    return [rule["alert"] for rule in alerts]


def checks() -> list[tuple[str, list[Any]]]:
    """Every check of the unit tests: the alert's name, and what is expected."""
    files = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in TESTS]
    blocks = [block for file in files for block in file["tests"]]
    return [(check["alertname"], check["exp_alerts"]) for block in blocks for check in block["alert_rule_test"]]


def test_the_configuration_and_its_rules_are_valid() -> None:
    checked = tool("promtool", "check", "config", "--lint-fatal", FILES / "prometheus.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert checked.stdout.count("rules found") == len(RULES)


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_the_rules_fire_when_they_should_and_only_then(path: Path) -> None:
    done = tool("promtool", "test", "rules", path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_made_to_fire_and_not_to_fire() -> None:
    fires = {name for name, expected in checks() if expected}
    quiet = {name for name, expected in checks() if not expected}
    assert fires == set(names(ALERTS))
    assert quiet == set(names(ALERTS))


def test_every_firing_is_expected_with_its_words() -> None:
    assert [name for name, expected in checks() for alert in expected if not alert.get("exp_annotations")] == []


def test_no_alert_is_defined_twice() -> None:
    assert len(names(ALERTS)) == len(set(names(ALERTS)))


@pytest.mark.parametrize("rule", ALERTS, ids=names(ALERTS))
def test_an_alert_says_how_grave_it_is_and_what_to_do(rule: dict[str, Any]) -> None:
    annotations, labels = rule["annotations"], rule["labels"]
    assert set(annotations) == {"summary", "description", "runbook_url"}
    assert labels["service"] == "rogue-agent-detector"
    assert labels.get("severity") in SEVERITIES or "severity" in rule["expr"], "a severity, or that of the metric"
    assert "$value" in annotations["description"] or rule["alert"] == "DetectorAbsent", "what is not there has no value"
    assert annotations["runbook_url"] == f"{RUNBOOK}#{rule['alert'].lower()}"


def test_the_runbook_has_a_section_for_every_alert_and_no_other() -> None:
    sections = re.split(r"^## ", (FILES / "RUNBOOK.md").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    told = {section.split("\n", 1)[0].strip(): section.split("\n", 1)[1].strip() for section in sections}
    assert sorted(told) == sorted(names(ALERTS))
    assert [name for name, text in told.items() if len(text) < 80] == []


def test_the_runbook_names_alerts_and_log_lines_that_exist() -> None:
    text = (FILES / "RUNBOOK.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\]\(#(\w+)\)", text)) <= {name.lower() for name in names(ALERTS)}
    metrics = Metrics()
    exported = {sample.name for family in metrics.registry.collect() for sample in family.samples}
    families = {family.name for family in metrics.registry.collect()}
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "detector").rglob("*.py"))
    for name in re.findall(r"`([a-z]+(?:_[a-z]+)+)`", text):
        if name.startswith("detector_"):
            assert name in exported | families or name.removesuffix("_total") in families, name
        else:
            assert f'"{name}"' in source or f"{name}:" in source, name


@pytest.mark.chdb
def test_the_runbooks_questions_to_the_store_are_understood(embedded_store: Store) -> None:
    asked = re.findall(r"`(SELECT [^`]+)`", (FILES / "RUNBOOK.md").read_text(encoding="utf-8"))
    assert len(asked) >= 3
    for sql in asked:
        assert list(embedded_store.client.query(" ".join(sql.split())).result_rows) == []


def test_rules_ask_for_nothing_that_does_not_exist() -> None:
    metrics = Metrics(formats=["native"], detectors=["any"], sinks=["kafka"])
    exist = {sample.name for family in metrics.registry.collect() for sample in family.samples}
    families = {family.name for family in metrics.registry.collect() if family.type != "counter"}
    counters = {f"{family.name}_total" for family in metrics.registry.collect() if family.type == "counter"}
    recorded = {rule["record"] for rule in RECORDED}
    for rule in rules():
        asked = set(_METRIC.findall(_RECORDED.sub("", rule["expr"])))
        assert asked <= exist | families | counters | OF_OTHERS, rule
        assert set(_RECORDED.findall(rule["expr"])) <= recorded, rule
    used = {name for rule in ALERTS for name in _RECORDED.findall(rule["expr"])}
    assert recorded == used, "a recording rule that nobody asks for costs something every 15 s"


def test_the_objective_is_a_bucket_of_the_histogram() -> None:
    metrics = Metrics()
    edges = {
        sample.labels["le"]
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == "detector_alert_latency_seconds_bucket"
    }
    asked = {edge for rule in rules() for edge in re.findall(r'le="([^"]+)"', rule["expr"])}
    assert asked == {"30.0"}
    assert asked <= edges


def test_with_a_certificate_and_a_token_the_named_lines_suffice(tmp_path: Path) -> None:
    config = copied(tmp_path, detectors=["127.0.0.1:9464"])
    text, taken_in = take_in_tls(config.read_text(encoding="utf-8"))
    assert taken_in == 5
    config.write_text(text, encoding="utf-8")
    missing = tool("promtool", "check", "config", config)
    assert missing.returncode != 0, "the files that it names are not there yet"
    secrets = config.parent / "secrets"
    secrets.mkdir()
    (secrets / "metrics-token").write_text("t0ken")
    (secrets / "ca.pem").write_bytes(Authority(tmp_path).ca.read_bytes())
    checked = tool("promtool", "check", "config", config)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_a_stage_that_does_not_exist_is_not_asked_for() -> None:
    asked = {stage for rule in rules() for stage in re.findall(r'stage="(\w+)"', rule["expr"])}
    assert asked <= set(STAGES)
