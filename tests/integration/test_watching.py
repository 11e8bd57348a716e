"""The detector as a SOC watches it: real Prometheus and Alertmanager, with the files of deploy/."""

import gzip
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
import yaml

from detector.metrics import Metrics
from detector.monitoring import MonitoringServer, server_context
from tests.support.alertmanager import Alertmanager, running_alertmanager
from tests.support.certificates import Authority
from tests.support.prometheus import FILES, Prometheus, copied, running_prometheus, take_in_tls
from tests.support.receiver import Received, Receiver, running_receiver
from tests.support.service import Deployment, Running, until
from tests.support.watching import alertmanager_config, token

SAMPLE: Final = Path(__file__).parents[2] / "sample_logs/advice_exposure/events.ndjson.gz"
UNTIL: Final = b"2026-04-13T10:40"  # sensitive data has stood open for nine minutes, and stands open yet
SCRAPED: Final = r"\b(?:detector_\w+|process_\w+|up)\b(?:\{[^}]*\})?"


def events() -> bytes:
    """The story up to the moment at which people should be at work on it."""
    with gzip.open(SAMPLE) as lines:
        return b"".join(line for line in lines if msgspec.json.decode(line)["time"].encode() < UNTIL)


def expressions() -> list[str]:
    files = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted((FILES / "rules").glob("*.yml"))]
    return [rule["expr"] for file in files for group in file["groups"] for rule in group["rules"]]


def selectors() -> set[str]:
    """Everything that the rules ask of what is scraped, with its matchers."""
    without_recorded = [re.sub(r"\w+:\w+:\w+", "", expression) for expression in expressions()]
    return {found for expression in without_recorded for found in re.findall(SCRAPED, expression)}


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with running_receiver() as receiver:
        yield receiver


@pytest.fixture
def alertmanager(tmp_path: Path, hook: Receiver) -> Iterator[Alertmanager]:
    folder = tmp_path / "alertmanager"
    folder.mkdir()
    with running_alertmanager(folder, hook.url, alertmanager_config(folder, hook.url)) as alertmanager:
        yield alertmanager


def told(requests: list[Received], receiver: str) -> list[dict[str, Any]]:
    """The alerts that came to a receiver, each with the receiver's own token."""
    mine = [request for request in requests if request.path == f"/hooks/{receiver}"]
    assert all(request.headers["authorization"] == f"Bearer {token(receiver)}" for request in mine)
    return [alert for request in mine for alert in msgspec.json.decode(request.body)["alerts"]]


def names(alerts: list[dict[str, Any]]) -> set[str]:
    return {alert["labels"]["alertname"] for alert in alerts}


@pytest.mark.kafka
@pytest.mark.chdb
@pytest.mark.alertmanager
@pytest.mark.timeout(300)
def test_an_incident_is_told_and_the_rules_see_what_they_ask_for(
    kafka_bootstrap: str, tmp_path: Path, alertmanager: Alertmanager, hook: Receiver
) -> None:
    deployment = Deployment(kafka_bootstrap, tmp_path, alertmanager={"url": alertmanager.url})
    deployment.command("topics")
    deployment.command("produce", "-", stdin=events())
    with Running(deployment) as running:
        (where,) = until(lambda: re.findall(r'"metrics": "([^"]+)"', running.log), running)
        config = copied(tmp_path, detectors=[where], alertmanagers=[alertmanager.url.removeprefix("http://")])
        with running_prometheus(config) as prometheus:
            the_detectors_own_alert_pages(hook)
            the_second_way_is_open_and_kept_back(alertmanager, hook)
            every_rule_has_what_it_asks_for(prometheus)
            assert running.stop() == 0
            until(lambda: prometheus.query('ALERTS{alertname="DetectorDown", alertstate="pending"}'), seconds=30.0)


def the_detectors_own_alert_pages(hook: Receiver) -> None:
    requests = hook.wait_until(lambda came: any("incident" in a["labels"] for a in told(came, "page")), timeout=90.0)
    (incident, *_) = (alert for alert in told(requests, "page") if "incident" in alert["labels"])
    assert incident["labels"]["severity"] == "SEV1"
    assert incident["labels"]["service"] == "rogue-agent-detector"


def the_second_way_is_open_and_kept_back(alertmanager: Alertmanager, hook: Receiver) -> None:
    def held_back() -> list[dict[str, Any]]:
        return [
            alert
            for alert in alertmanager.alerts()
            if alert["labels"]["alertname"] == "RogueAgentIncidentOpen" and alert["status"]["inhibitedBy"]
        ]

    assert until(held_back, seconds=60.0)[0]["labels"]["severity"] == "SEV1"
    requests = hook.wait_until(lambda came: "DetectorWatching" in names(told(came, "heartbeat")), timeout=60.0)
    assert "RogueAgentIncidentOpen" not in names(told(requests, "page"))
    # The window was opened in April: whoever has not closed it since is called, and no inhibition is in the way.
    hook.wait_until(lambda came: "RogueAgentExposureOpenTooLong" in names(told(came, "page")), timeout=60.0)


def every_rule_has_what_it_asks_for(prometheus: Prometheus) -> None:
    until(lambda: all(rule["health"] == "ok" for rule in prometheus.rules()), seconds=60.0)
    assert len(prometheus.rules()) == len(expressions())
    assert 'detector_alert_latency_seconds_bucket{le="30.0"}' in selectors()
    assert [one for one in sorted(selectors()) if not prometheus.query(one)] == []
    recorded = {rule["name"] for rule in prometheus.rules() if rule["type"] == "recording"}
    recorded.remove("job_channel:detector_tests_improbable:ratio1d")  # no share of none: no test ends while it looks
    until(lambda: not [name for name in recorded if not prometheus.query(name)], seconds=60.0)
    firing = {
        alert["labels"]["alertname"] for alert in prometheus.get("alerts")["alerts"] if alert["state"] == "firing"
    }
    assert firing == {"RogueAgentIncidentOpen", "RogueAgentExposureOpenTooLong", "DetectorWatching"}


def test_over_tls_and_with_a_token_the_detector_is_scraped(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("detector")
    context = server_context(pair.cert, pair.key)
    with MonitoringServer(Metrics(version="1.2.3").registry, port=0, tls=context, token="t0ken") as server:  # noqa: S106
        config = copied(tmp_path, detectors=[f"127.0.0.1:{server.port}"])
        config.write_text(take_in_tls(config.read_text(encoding="utf-8"))[0], encoding="utf-8")
        secrets = config.parent / "secrets"
        secrets.mkdir()
        (secrets / "ca.pem").write_bytes(authority.ca.read_bytes())
        (secrets / "metrics-token").write_text("another")
        with running_prometheus(config) as prometheus:
            (refused,) = until(lambda: prometheus.query("up"), seconds=30.0)
            assert refused["value"][1] == "0"
            (secrets / "metrics-token").write_text("t0ken")  # read anew for each scrape
            until(lambda: prometheus.query("up == 1"), seconds=30.0)
            assert prometheus.query('detector_build_info{version="1.2.3"}')
