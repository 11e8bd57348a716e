"""deploy/alertmanager: who hears of what, and what keeps back what, with the real programs."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import yaml

from tests.support.alertmanager import Alertmanager, running_alertmanager
from tests.support.prometheus import DEPLOY, tool
from tests.support.receiver import running_receiver
from tests.support.service import until
from tests.support.watching import alertmanager_config

CONFIG: Final = DEPLOY / "alertmanager/alertmanager.yml"
DETECTION: Final = {"alertname": "RogueAgentExposure", "detector": "exposure", "service": "rogue-agent-detector"}
HEALTH: Final = {"service": "rogue-agent-detector", "job": "rogue-agent-detector", "instance": "a:9464"}


def test_the_configuration_is_valid_and_holds_no_secret() -> None:
    checked = tool("amtool", "check-config", CONFIG)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    for receiver in yaml.safe_load(CONFIG.read_text(encoding="utf-8"))["receivers"]:
        (hook,) = receiver["webhook_configs"]
        assert hook["http_config"]["authorization"] == {"credentials_file": f"secrets/{receiver['name']}-token"}


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        ({**DETECTION, "severity": "SEV0", "incident": "a-1"}, "page"),
        ({**DETECTION, "severity": "SEV1", "incident": "a-1"}, "page"),
        ({**DETECTION, "severity": "SEV2", "incident": "a-1"}, "ticket"),
        ({**DETECTION, "severity": "SEV3", "incident": "a-1"}, "digest"),
        ({**DETECTION, "severity": "SEV4", "incident": "a-1"}, "digest"),
        ({**HEALTH, "alertname": "DetectorDown", "severity": "SEV1"}, "page"),
        ({**HEALTH, "alertname": "DetectorSinkFailing", "severity": "SEV2", "sink": "webhook"}, "ticket"),
        ({**HEALTH, "alertname": "DetectorCheckpointSlow", "severity": "SEV3"}, "digest"),
        ({**HEALTH, "alertname": "DetectorWatching", "severity": "SEV4"}, "heartbeat"),
        ({"alertname": "SomebodyElses"}, "digest"),
        ({"alertname": "SomebodyElses", "severity": "SEV11"}, "digest"),
    ],
    ids=lambda value: f"{value['alertname']}-{value.get('severity')}" if isinstance(value, dict) else value,
)
def test_who_hears_of_it(labels: Mapping[str, str], receiver: str) -> None:
    pairs = [f"{name}={value}" for name, value in labels.items()]
    routed = tool(
        "amtool", "config", "routes", "test", f"--config.file={CONFIG}", f"--verify.receivers={receiver}", *pairs
    )
    assert routed.returncode == 0, routed.stdout + routed.stderr
    assert routed.stdout.strip() == receiver


def test_pages_and_tickets_are_grouped_by_alert_and_detector_and_wait_for_seconds_only() -> None:
    route = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))["route"]
    for child in route["routes"]:
        if child["receiver"] in {"page", "ticket"}:
            assert child["group_by"] == ["alertname", "detector"]
            assert {child["group_wait"], child["group_interval"]} <= {"1s", "5s", "10s"}


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[Alertmanager]:
    with (
        running_receiver() as hook,
        running_alertmanager(tmp_path, hook.url, alertmanager_config(tmp_path, hook.url)) as it,
    ):
        yield it


def held_back(alertmanager: Alertmanager, *posted: Mapping[str, str]) -> set[str]:
    """Post these; names and severities of those that others inhibit."""
    now = datetime.now(UTC).isoformat()
    body = [{"labels": labels, "startsAt": now} for labels in posted]
    httpx.post(f"{alertmanager.url}/api/v2/alerts", json=body, timeout=10).raise_for_status()

    def states() -> list[dict[str, Any]]:
        alerts = alertmanager.alerts()
        decided = all(alert["status"]["state"] != "unprocessed" for alert in alerts)
        return alerts if decided and len(alerts) == len(posted) else []

    return {
        f"{alert['labels']['alertname']} {alert['labels']['severity']}"
        for alert in until(states, seconds=30.0)
        if alert["status"]["inhibitedBy"]
    }


def of(name: str, severity: str, **labels: str) -> dict[str, str]:
    return {**HEALTH, "alertname": name, "severity": severity, **labels}


@pytest.mark.alertmanager
@pytest.mark.parametrize(
    ("posted", "inhibited"),
    [
        (
            [
                {**DETECTION, "severity": "SEV1", "incident": "a-1"},
                {**DETECTION, "severity": "SEV3", "incident": "a-1"},
                {**DETECTION, "severity": "SEV2", "incident": "a-2"},
                of("RogueAgentIncidentOpen", "SEV1"),
                of("RogueAgentIncidentOpen", "SEV3"),
                of("DetectorCheckpointOld", "SEV2"),
            ],
            # What is kept back keeps back too: the only incident of SEV3 is one that is told as SEV1.
            {"RogueAgentExposure SEV3", "RogueAgentIncidentOpen SEV1", "RogueAgentIncidentOpen SEV3"},
        ),
        (
            [of("RogueAgentIncidentOpen", "SEV1"), {**DETECTION, "severity": "SEV2", "incident": "a-2"}],
            set(),
        ),
        (
            [
                of("DetectorStuck", "SEV1"),
                of("DetectorNotReady", "SEV2"),
                of("DetectorCheckpointOld", "SEV2"),
                of("DetectorNotReady", "SEV2", instance="b:9464"),
                of("RogueAgentIncidentOpen", "SEV2"),
            ],
            {"DetectorCheckpointOld SEV2", "DetectorNotReady SEV2"},
        ),
        (
            [
                of("DetectorNoneReady", "SEV1"),
                of("DetectorLagGrowing", "SEV2", topic="agent-events"),
                of("DetectorTimeToAlertBurns", "SEV2"),
                of("DetectorCheckpointDamaged", "SEV2"),
            ],
            {"DetectorLagGrowing SEV2", "DetectorTimeToAlertBurns SEV2"},
        ),
        (
            [
                of("DetectorTimeToAlertBurnsFast", "SEV1"),
                of("DetectorTimeToAlertBurns", "SEV2"),
                of("DetectorTimeToAlertBurnsSlowly", "SEV3"),
            ],
            {"DetectorTimeToAlertBurns SEV2", "DetectorTimeToAlertBurnsSlowly SEV3"},
        ),
    ],
    ids=["an incident and its parts", "none of that severity", "a stuck process", "nobody works", "burn rates"],
)
def test_a_cause_keeps_back_what_follows_from_it(
    alertmanager: Alertmanager, posted: list[dict[str, str]], inhibited: set[str]
) -> None:
    assert held_back(alertmanager, *posted) == inhibited
