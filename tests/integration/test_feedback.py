"""A verdict on an alert: from the command line to the next event's finding, through Kafka, the store and a restart."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
import pytest

from detector.events import Actor, Destination, Event, Target, Zone
from tests.support.service import Deployment, Running, until

UNDO: Final = {"by": "bob", "reason": "wrong alert"}

pytestmark = [pytest.mark.kafka, pytest.mark.chdb, pytest.mark.timeout(240)]


def call(time: datetime, who: str, host: str, zone: Zone, size: int) -> Event:
    return Event(
        id=f"{who}-{time.timestamp():.0f}-{host}",
        time=time,
        actor=Actor(id=who, role="assistant"),
        kind="call",
        action="http_request",
        target=Target(uri=f"https://{host}/v1/items"),
        destination=Destination(host=host, zone=zone),
        bytes_out=size,
    )


def publish(deployment: Deployment, events: Sequence[Event]) -> None:
    deployment.command("produce", "-", stdin=b"".join(msgspec.json.encode(event) + b"\n" for event in events))


def drop(seconds: float, who: str) -> Event:
    return call(datetime.now(UTC) + timedelta(seconds=seconds), who, "drop.example", "external", 50_000)


def rows(deployment: Deployment, sql: str) -> list[list[Any]]:
    """Asked beside the running service."""
    answer = msgspec.json.decode(deployment.command("audit", "sql", sql, "--format", "json").stdout)
    (table,) = answer["tables"].values()
    return [list(row.values()) if isinstance(row, dict) else row for row in table]


def test_a_false_alarm_is_closed_and_told_no_more(kafka_bootstrap: str, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("of-the-soc")
    deployment = Deployment(kafka_bootstrap, tmp_path, metrics={"port": 0, "token": {"file": str(token)}})
    deployment.token = token.read_text()
    deployment.command("topics")
    now = datetime.now(UTC)
    publish(
        deployment,
        [
            call(now - timedelta(hours=120 - h), who, f"api-{h % 2}.corp.example", "internal", 900)
            for h in range(120)
            for who in ("agent-1", "agent-2")
        ],
    )
    with Running(deployment) as running:
        publish(deployment, [drop(0, "agent-1")])
        alert = until(lambda: [a for a, _ in deployment.alert_versions()], running)[0]
        said = deployment.command(
            "feedback", alert, "--verdict", "false", "--reason", "a new partner", "--by", "alice"
        ).stderr.decode()
        verdict = said.split()[-1]
        until(lambda: running.metric("detector_adjustments") > 0, running)
        last = until(lambda: deployment.alert_versions().get((alert, 2)), running)
        assert last is not None
        assert (last.status, last.resolution) == ("resolved", "judged false by alice: a new partner")
        assert running.metric("detector_alert_verdicts_total", detector="new_endpoint", verdict="false") == 1
        assert httpx.post(f"http://{running.where}/api/feedback", content=b"{}").status_code == 401
        wrong = post(running, b'{"alert": "a-1", "by": "alice", "reason": "r"}')
        assert wrong[0] == 400
        assert "give a `verdict`" in wrong[1]
        running.kill()
    with Running(deployment) as running:  # it is known again
        publish(deployment, [drop(120, "agent-2")])
        until(deployment.is_done, running)
        assert running.metric("detector_adjustments") == 1
        verdicts = "SELECT alert, verdict, refused, in_force, withdrawn_by FROM verdicts"
        assert rows(deployment, verdicts) == [[alert, "false", "", 1, ""]]
        assert rows(deployment, "SELECT detector, false_alarms, precision FROM detector_precision") == [
            ["new_endpoint", 1, 0.0]
        ]
        status, answer = post(running, msgspec.json.encode(UNDO | {"alert": alert, "undoes": verdict}))
        assert (status, answer[:2]) == (202, "v-")
        until(lambda: rows(deployment, verdicts) == [[alert, "false", "", 0, "bob"]], running)
        assert rows(deployment, "SELECT * FROM detector_precision") == []
        assert running.stop() == 0
    found = "SELECT principal, suppressed FROM findings WHERE detector = 'new_endpoint' ORDER BY time"
    assert deployment.query(found) == [["agent-1", ""], ["agent-2", f"verdict:{verdict}"]]
    assert {alert_id for alert_id, _ in deployment.alert_versions()} == {alert}


def post(running: Running, body: bytes) -> tuple[int, str]:
    """Status and text of an answer to a request at the service's API."""
    answer = httpx.post(f"http://{running.where}/api/feedback", content=body, headers=running.headers, timeout=30)
    return answer.status_code, answer.text.strip()


def test_a_slip_is_told_before_anything_is_handed_over(kafka_bootstrap: str, tmp_path: Path) -> None:
    deployment = Deployment(kafka_bootstrap, tmp_path, feedback={"operators": ["*@soc.example"]})
    said = deployment.failing("feedback", "a-1", "--verdict", "false", "--reason", "r", "--by", "mallory")
    assert "mallory is none of those who may judge alerts (`feedback.operators`)" in said
    deployment.command("store", "migrate")
    said = deployment.failing("feedback", "a-1", "--verdict", "false", "--reason", "r", "--by", "bob@soc.example")
    assert "the store knows no alert a-1: is its id right?" in said
    said = deployment.failing("feedback", "a-1", "--reason", "r")
    assert "give a `verdict` (true, false or benign), or `undoes` with the id of one" in said


def test_an_order_to_learn_anew_reaches_what_is_known_of_the_principal(kafka_bootstrap: str, tmp_path: Path) -> None:
    issuers = [{"ids": ["alice"], "orders": ["rebaseline"]}]
    deployment = Deployment(kafka_bootstrap, tmp_path, control={"issuers": issuers})
    deployment.command("topics")
    order = ("rebaseline", "agent-1", "--detector", "new_endpoint", "--reason", "moved")
    said = deployment.failing(*order, "--by", "bob")
    assert "an order of bob to forget what is usual for agent-1 would not count: `control.issuers` needs one" in said
    assert "stop_violation has no baseline" in deployment.failing(*order[:2], "-d", "stop_violation", "--reason", "r")
    now = datetime.now(UTC)
    hosts = [call(now - timedelta(hours=9 - h), "agent-1", f"api-{h}.corp.example", "internal", 900) for h in range(8)]
    publish(deployment, hosts)
    with Running(deployment) as running:
        until(deployment.is_done, running)
        assert running.stop() == 0
    assert known_hosts(deployment) == 8
    said = deployment.command(*order, "--by", "alice").stderr.decode()
    assert said.startswith("learnt anew of agent-1: what is usual to new_endpoint: o-")
    with Running(deployment) as running:
        until(deployment.is_done, running)
        assert running.stop() == 0
    assert known_hosts(deployment) == 0
    kept = "SELECT id, actor_id, action, principal, verdict FROM events WHERE kind = 'control'"
    assert deployment.query(kept) == [[said.split()[-1], "alice", "rebaseline", "agent-1", "scored"]]
    assert "the store holds nothing that agent-1 did since" in deployment.failing(
        *order, "--by", "alice", "--since", "0.01d"
    )
    assert "has not come yet" in deployment.failing(*order, "--by", "alice", "--since", "2100-01-01")
    said = deployment.command(*order, "--by", "alice", "--since", "0.2d").stderr.decode()
    assert said.startswith("learnt anew of agent-1: what is usual to new_endpoint, from the 3 acts since ")
    with Running(deployment) as running:
        until(deployment.is_done, running)
        assert running.stop() == 0
    assert known_hosts(deployment) == 3, "those of less than five hours ago"


def known_hosts(deployment: Deployment) -> int:
    told = msgspec.json.decode(deployment.command("baseline", "agent-1", "--format", "json").stdout)
    return len([row for row in told["tables"]["endpoints"] if row["namespace"] == "host"])
