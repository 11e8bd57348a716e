"""compose.yaml by hand: its processes on a real broker, store, Prometheus and Alertmanager, and the demo through it."""

import math
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Final, NamedTuple

import httpx
import msgspec
import pytest

from deploy.kafka.broker import Broker
from deploy.kafka.install import MissingTool
from detector.store.client import connect
from tests.support.alertmanager import free_port, running_alertmanager
from tests.support.clickhouse_front import ClickHouseFront
from tests.support.deployed import CONFIG, ROOT, WORKERS, Process, broker_settings, command, environment, secrets
from tests.support.grafana import Question, promql, questions
from tests.support.prometheus import Prometheus, copied, running_prometheus
from tests.support.receiver import Received, Receiver, running_receiver
from tests.support.service import until
from tests.support.watching import alertmanager_config

pytestmark = [pytest.mark.kafka, pytest.mark.chdb, pytest.mark.alertmanager, pytest.mark.timeout(600)]

STORIES: Final = {
    "engineering-assistant-agent-02@oslo",
    "mail-assistant-agent-02@lima",
    "content-moderation-agent-02@kyoto",
    "knowledge-base-agent-02@dakar",
}
BEGUN: Final = 30
"""Minutes ago: all four have done harm, and what the advice opened stands open."""


class Deployed(NamedTuple):
    """What runs, and since when (unix seconds)."""

    workers: dict[str, Process]
    ports: dict[str, int]
    prometheus: Prometheus
    hook: Receiver
    since: float
    store: str
    password: str


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """All of it, the demo begun half an hour ago."""
    folder = tmp_path_factory.mktemp("deployed")
    made = secrets(folder)
    password = (made / "clickhouse-detector").read_text()
    ports = {name: free_port() for name in WORKERS}
    with ExitStack() as stack:
        broker = stack.enter_context(_broker())
        front = stack.enter_context(ClickHouseFront(folder / "store", user="detector", password=password))
        hook = stack.enter_context(running_receiver())
        (folder / "am").mkdir()
        config = alertmanager_config(folder / "am", hook.url)
        alertmanager = stack.enter_context(running_alertmanager(folder / "am", hook.url, config))
        here = {
            "DETECTOR_KAFKA__BOOTSTRAP_SERVERS": broker.bootstrap,
            "DETECTOR_STORE__URL": front.url("detector"),
            "DETECTOR_STORE__PASSWORD": f"{{file: {made / 'clickhouse-detector'}}}",
            "DETECTOR_STATE__URL": f"file://{folder}/state",
            "DETECTOR_STATE__EVERY": "2",
            "DETECTOR_ALERTMANAGER__URL": alertmanager.url,
            "DETECTOR_METRICS__ADDRESS": "127.0.0.1",
        }
        once = [Process(name, command(name), environment(name, **here), folder) for name in ("topics", "migrate")]
        for process in once:
            assert process.process.wait(120) == 0, process.log
        workers = {
            name: Process(
                name, command(name), environment(name, **here, DETECTOR_METRICS__PORT=str(ports[name])), folder
            )
            for name in WORKERS
        }
        for process in workers.values():
            stack.callback(process.kill)
        targets = [f"127.0.0.1:{port}" for port in ports.values()]
        watched = copied(folder, detectors=targets, alertmanagers=[alertmanager.url.removeprefix("http://")])
        prometheus = stack.enter_context(running_prometheus(watched))
        since = time.time()
        for name, port in ports.items():
            until(lambda name=name, port=port: _ready(workers[name], port), seconds=120.0)  # type: ignore[misc]
        until(lambda: len(prometheus.query("up == 1")) == len(WORKERS), seconds=30.0)
        demo = [sys.executable, "deploy/compose/demo.py", "sample_logs", "--config", str(CONFIG), "--since", str(BEGUN)]
        player = Process("demo", demo, environment("demo", **here, PYTHONPATH=str(ROOT)), folder)
        stack.callback(player.kill)
        yield Deployed(workers, ports, prometheus, hook, since, front.url("detector"), password)


def _broker() -> Broker:
    broker = Broker(settings=broker_settings())
    try:
        return broker.start()
    except MissingTool as missing:
        broker.remove()
        if os.environ.get("CI") == "true":
            pytest.fail(f"the deployment must be tested in CI: {missing}", pytrace=False)
        pytest.skip(str(missing))


def _ready(process: Process, port: int) -> bool:
    assert process.process.poll() is None, process.log
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=5, trust_env=False).is_success
    except httpx.TransportError:
        return False


def told(requests: list[Received]) -> set[str]:
    """The principals of all incidents that people were called for."""
    pages = [msgspec.json.decode(request.body) for request in requests if request.path == "/hooks/page"]
    alerts = [alert for page in pages for alert in page["alerts"] if "incident" in alert["labels"]]
    return {who for alert in alerts for who in alert["annotations"]["principals"].split(", ")}


def test_each_story_calls_somebody(deployed: Deployed) -> None:
    deployed.hook.wait_until(lambda came: told(came) >= STORIES, timeout=240.0)


def test_both_workers_share_the_work(deployed: Deployed) -> None:
    busy = "sum by (instance) (detector_messages_total) > 1000 and sum by (instance) (detector_principals) > 20"
    instances = {series["metric"]["instance"] for series in until(lambda: deployed.prometheus.query(busy), seconds=120)}
    assert instances == {f"127.0.0.1:{deployed.ports[name]}" for name in ("score-1", "score-2")}


def test_what_was_told_is_stored(deployed: Deployed) -> None:
    def stored() -> set[str]:
        with connect(deployed.store, password=deployed.password) as store:
            rows = store.client.query("SELECT principals FROM alerts_current WHERE severity = 'SEV1'").result_rows
        return {who for (principals,) in rows for who in principals}

    until(lambda: stored() >= STORIES, seconds=60.0)


@pytest.mark.parametrize("asked", questions("prometheus"), ids=lambda asked: asked.label)
def test_every_panel_has_something_to_show(deployed: Deployed, asked: Question) -> None:
    expression = promql(asked.text)

    def shown() -> list[float]:
        end = time.time()
        query = {"query": expression, "start": f"{deployed.since:.0f}", "end": f"{end:.0f}", "step": "2"}
        series: list[dict[str, Any]] = deployed.prometheus.get("query_range", **query)["result"]
        values = [float(value) for each in series for _, value in each["values"]]
        return [value for value in values if not math.isnan(value)]

    assert until(shown, seconds=45.0)


def test_the_rules_are_in_force_and_nothing_is_wrong_with_the_detector(deployed: Deployed) -> None:
    rules = deployed.prometheus.rules()
    assert {rule["health"] for rule in rules} == {"ok"}
    firing = {
        alert["labels"]["alertname"]
        for alert in deployed.prometheus.get("alerts")["alerts"]
        if alert["state"] == "firing"
    }
    # What was produced at once happened half an hour ago, so its alerts are late.
    others = {name for name in firing if not name.startswith(("RogueAgent", "DetectorTimeToAlert"))}
    assert others == {"DetectorWatching"}


def test_all_of_it_stops_in_order(deployed: Deployed) -> None:
    statuses = {name: process.stop() for name, process in deployed.workers.items()}
    assert statuses == dict.fromkeys(WORKERS, 0), "".join(process.log[-2000:] for process in deployed.workers.values())
