"""History out of the event store: in the order of scoring, whatever was read when, and judged as it was live."""

import json
import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from detector import demo
from detector.audit import why_not
from detector.audit.answer import AuditError, Span
from detector.auditing import LinkedStore
from detector.backtest.known import confirmed
from detector.backtest.play import Player
from detector.cli import app
from detector.config import Config
from detector.config_file import parse
from detector.events import Envelope
from detector.explain.answer import answer
from detector.explain.remedies import remedies
from detector.history.rows import Decoders, Row
from detector.history.stored import StoredHistory, topics
from detector.records import OperatorAction
from detector.scenario import scenarios
from detector.sinks.base import Batch
from detector.sinks.clickhouse import ClickHouseSink
from detector.sources.files import FileSource
from detector.store.client import Store, connect
from detector.store.migrate import migrate
from tests.support.audited import SAMPLES, audited, expected_of, incident_of, sample  # noqa: F401 - a fixture
from tests.support.events import START, event
from tests.support.nouns import T0, an_alert

pytestmark = pytest.mark.chdb


def placed(minutes: Sequence[float], partition: int, topic: str = "events") -> list[Envelope]:
    """Events of one partition in the order of reading, at these minutes after nine."""
    found = []
    for offset, minute in enumerate(minutes):
        item = event(60.0 * minute, id=f"{topic}-{partition}-{offset}")
        arrived = START.timestamp() + 60.0 * max(minutes)
        found.append(Envelope(item, topic, partition, offset, arrived, msgspec.json.encode(item)))
    return found


def fill(store: Store, envelopes: Sequence[Envelope]) -> None:
    sink = ClickHouseSink(store.client, database=store.database)
    for some in (envelopes[::2], envelopes[1::2]):
        sink.write(Batch(events=[(item, "scored") for item in some]))


def read(store: Store, names: Sequence[str] = ("events",), rows: int = 100_000, **span: Any) -> list[str]:
    return [row.id for row in StoredHistory(store, names, Span(**span), rows)]


def aligned(*partitions: Sequence[Envelope]) -> list[str]:
    """What the order should be: each partition as it was read, between them by the time that each has reached."""
    keyed = []
    for partition in partitions:
        reached = 0.0
        for item in partition:
            reached = max(reached, item.event.time.timestamp())
            keyed.append((reached, item.topic, item.partition, item.offset, item.event.id))
    return [name for *_, name in sorted(keyed)]


@pytest.mark.parametrize("rows", [1, 3, 100_000], ids=["an hour at a time", "a few", "all at once"])
def test_history_comes_in_the_order_of_scoring_however_it_is_cut(embedded_store: Store, rows: int) -> None:
    rng = random.Random(3)
    partitions = [
        placed([60.0 * hour + rng.uniform(0, 240) - 180 * (rng.random() < 0.2) for hour in range(12)], number)
        for number in range(3)
    ]
    shuffled = [item for partition in partitions for item in partition]
    rng.shuffle(shuffled)
    fill(embedded_store, shuffled)
    assert read(embedded_store, rows=rows) == aligned(*partitions)


def test_what_was_written_twice_is_read_once(embedded_store: Store) -> None:
    log = placed([0, 1, 2], 0)
    fill(embedded_store, log)
    embedded_store.client.command("INSERT INTO events_data SELECT * FROM events_data")
    assert embedded_store.client.query("SELECT count() FROM events_data").result_rows == [(6,)]
    assert read(embedded_store) == [item.event.id for item in log]


def test_a_span_and_a_topic_are_read_alone(embedded_store: Store) -> None:
    fill(embedded_store, [*placed([0, 61, 122], 0), *placed([5], 0, "other")])
    assert read(embedded_store, until=START + timedelta(minutes=61)) == ["events-0-0"]
    assert read(embedded_store, since=START + timedelta(minutes=61)) == ["events-0-1", "events-0-2"]
    assert read(embedded_store, ("other",)) == ["other-0-0"]
    assert read(embedded_store, ("nothing",)) == []
    assert [(topic.topic, topic.events) for topic in topics(embedded_store)] == [("events", 3), ("other", 1)]


def test_the_last_verdict_that_counts_makes_an_alert_a_known_incident(embedded_store: Store) -> None:
    def verdict(number: int, alert: str, minute: int, word: str | None, refused: str = "") -> OperatorAction:
        return OperatorAction(
            id=f"v-{number}",
            time=T0 + timedelta(minutes=minute),
            operator="ines",
            action="verdict" if word else "verdict_withdrawn",
            subject=f"alert:{alert}",
            reason="seen",
            details={"verdict": word, "refused": refused},
        )

    sink = ClickHouseSink(embedded_store.client, database=embedded_store.database)
    sink.write_alerts([an_alert(number, status="resolved") for number in range(4)])
    sink.write_operator_actions(
        [
            verdict(0, "a-0", 1, "true"),
            verdict(1, "a-1", 1, "true"),
            verdict(2, "a-1", 2, "false"),
            verdict(3, "a-2", 1, "true"),
            verdict(4, "a-2", 2, None),
            verdict(5, "a-3", 1, "true"),
            verdict(6, "a-3", 2, "false", refused="he judges himself"),
        ]
    )
    known = confirmed(embedded_store, Span())
    assert [each.name for each in known] == ["a-0", "a-3"]
    assert known[0].principals == ("agent-1",)
    assert known[0].harm == T0
    assert confirmed(embedded_store, Span(until=T0)) == []


def test_an_event_comes_back_as_it_was_read(embedded_store: Store) -> None:
    (item,) = placed([3], 4)
    fill(embedded_store, [msgspec.structs.replace(item, index=6)])
    (row,) = StoredHistory(embedded_store, ["events"])
    assert row == Row("events", 4, 0, item.received_at, item.raw, "native", 6, "events-4-0")
    (envelope,) = Decoders(Config()).envelopes(row)
    assert envelope == msgspec.structs.replace(item, index=6)


def test_a_backtest_of_the_store_raises_what_was_raised_live(audited: Store) -> None:  # noqa: F811 - the fixture
    """Each scenario alone, as the demo played it."""
    told: dict[str, datetime] = {}
    for name in ("inbox_deletion", "advice_exposure"):
        player = Player(Config())
        player.take(list(StoredHistory(audited, [f"demo:{name}"])))
        played = player.result()
        assert played.events == len(sample(name))
        assert played.unread == 0
        told |= {key: alert.detected_at for key, alert in played.raised.items()}
        expected = expected_of(name).incident
        bound = {"since": expected.begins - timedelta(days=30), "until": expected.ends + timedelta(days=5)}
        stored = audited.client.query(
            "SELECT id FROM findings WHERE event_id IN (SELECT id FROM events WHERE topic = {topic:String})"
            " AND time BETWEEN {since:DateTime64(6, 'UTC')} AND {until:DateTime64(6, 'UTC')}",
            parameters={"topic": f"demo:{name}", **bound},
        )
        assert {row[0] for row in stored.result_rows} <= played.findings.keys()
    stored_alerts = audited.client.query("SELECT id, detected_at FROM alerts_current").result_rows
    alerts: dict[str, datetime] = {row[0]: row[1] for row in stored_alerts}
    assert {expected_of(name).alerts[0].severity for name in ("inbox_deletion", "advice_exposure")} == {"SEV1"}
    assert len(told) >= 2
    assert told.items() <= alerts.items()


def test_an_alert_is_explained_by_its_gravest_finding(audited: Store) -> None:  # noqa: F811 - the fixture
    told = answer(audited, incident_of(audited, "moderation_exfil"))
    assert told.facts["finding"].endswith("SEV2 transfer_rate/burst") or "exfiltration" in told.facts["finding"]
    numbers = {row["name"]: row["value"] for row in _table(told, "numbers")}
    assert numbers
    hours = {row["of"]: row for row in _table(told, "hours")}
    assert hours["bytes sent outside"]["hours_with_any"] == 0, "never before"
    assert len(hours["acts"]["bars"]) == len(hours["acts"]["values"]) == 48
    assert hours["bytes sent outside"]["bars"].endswith("█")
    assert "Exact as far as can be told" in " ".join(told.notes)


def _table(told: Any, name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = next(table for table in told.tables if table.name == name).dicts()
    return rows


def test_a_finding_stands_beside_the_limit_that_it_passed(audited: Store) -> None:  # noqa: F811 - the fixture
    (row,) = audited.client.query(
        "SELECT id, score FROM findings WHERE detector = 'transfer_rate' ORDER BY score DESC LIMIT 1"
    ).result_rows
    told = answer(audited, row[0])
    beyond = [each for each in _table(told, "detectors") if "found" in each["result"]]
    rated = next(each for each in beyond if each["detector"] == "transfer_rate")
    assert rated["score"] == pytest.approx(row[1], abs=1e-3), "as the finding has it, uncut"
    assert rated["score"] > rated["limit"]
    (raised, muted) = _table(told, "otherwise")
    assert raised["way"] == "raise its threshold"
    assert muted["way"] == "mute it"


@pytest.mark.parametrize(
    ("order", "result", "limit"),
    [
        ("settings: {external_p: 1.0e-9, inside_p: 1.0e-9, public_p: 1.0e-9}", "below its limit", 9.0),
        ("threshold: 11", "below its limit", 11.0),
        ("enabled: false", "", None),
    ],
)
def test_what_an_override_sets_is_what_an_endpoint_is_held_against(
    audited: Store,  # noqa: F811 - the fixture
    order: str,
    result: str,
    limit: float | None,
) -> None:
    (row,) = audited.client.query(
        "SELECT event_id, principal FROM findings WHERE detector = 'new_endpoint' ORDER BY score, id LIMIT 1"
    ).result_rows
    text = f"overrides: [{{name: o, reason: r, principals: [{row[1]}], detectors: [new_endpoint], {order}}}]"
    told = why_not.answer(audited, row[0], parse(text, "override.yaml"))
    (judged,) = [each for each in _table(told, "detectors") if each["detector"] == "new_endpoint"]
    assert (judged["result"], judged["limit"]) == (result, limit)
    assert judged["asked"] == ("yes" if limit else "no: switched off by an override")


def test_an_event_without_findings_says_what_came_nearest(audited: Store) -> None:  # noqa: F811 - the fixture
    (row,) = audited.client.query(
        "SELECT id FROM events WHERE topic = 'demo:moderation_exfil' AND kind = 'transfer' AND time < '2026-03-03'"
        " ORDER BY time LIMIT 1"
    ).result_rows
    told = answer(audited, row[0])
    assert told.facts["alert"].startswith("none")
    assert "would make it a finding" in told.facts["nearest"] or "no detector weighs" in told.facts["nearest"]
    assert [table.name for table in told.tables] == ["detectors", "hours"]


def test_what_is_not_there_is_said(audited: Store) -> None:  # noqa: F811 - the fixture
    for name in ("a-0", "f-0", "nothing"):
        with pytest.raises(AuditError, match=name):
            answer(audited, name)


@pytest.mark.parametrize("way", ["raise its threshold", "mute it", "approve the place"])
def test_a_remedy_does_what_it_says(audited: Store, way: str) -> None:  # noqa: F811 - the fixture
    """With the setting, the finding is not made, or is suppressed."""
    found = audited.client.query(
        "SELECT * FROM findings WHERE suppressed = '' AND detector = {detector:String}"
        " AND event_id IN (SELECT id FROM events WHERE topic = 'demo:moderation_exfil') ORDER BY score DESC LIMIT 1",
        parameters={"detector": "new_endpoint" if way == "approve the place" else "transfer_rate"},
    )
    row = dict(zip(found.column_names, found.result_rows[0], strict=True))
    row["evidence"] = msgspec.json.decode(row["evidence"]) if isinstance(row["evidence"], str) else row["evidence"]
    setting = next(each.setting for each in remedies(row) if each.way == way)
    player = Player(parse(setting, "remedy"))
    player.take(list(StoredHistory(audited, ["demo:moderation_exfil"])))
    made = player.result().findings.get(row["id"])
    assert made is None or made.suppressed is not None, setting
    assert (made is None) is (way == "raise its threshold")


@pytest.fixture
def demo_store(embedded_url: str) -> str:
    """The URL of a store in which the scenario with the mailbox was played."""
    with connect(embedded_url) as store:
        migrate(store)
        sink = LinkedStore(Config()).sink(store)
        scenario = next(each for each in scenarios(SAMPLES) if each.expected.scenario == "inbox_deletion")
        source = FileSource(scenario.events, lambda: 1_790_000_000.0, topic="demo:inbox_deletion")
        demo.play(scenario, source, [sink], Config(), lambda: None)
    return embedded_url


def test_the_commands_ask_the_store(demo_store: str, tmp_path: Path) -> None:
    blind = tmp_path / "blind.yaml"
    blind.write_text("detectors: {stop_violation: {enabled: false}}\n", encoding="utf-8")
    run = partial(CliRunner().invoke, app)
    options = ["--store", demo_store, "--config", str(blind), "--from", "2026-05-10", "--format", "json"]
    done = run(["backtest", *options])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["facts"]["from"].startswith("demo:inbox_deletion in chdb://")
    assert "to warm up" in told["facts"]["history"]
    detectors = {row["detector"]: row for row in told["tables"]["detectors"]}
    assert detectors["stop_violation"]["change"] == -1
    wrong = run(["backtest", "--store", demo_store, "--topic", "agent-events"])
    assert "it holds demo:inbox_deletion" in str(wrong.exception)
    empty = run(["backtest", "--store", demo_store, "--from", "2030-01-01"])
    assert "holds no events from 2029-12-25" in str(empty.exception)
    alert = expected_of("inbox_deletion").alerts[0]
    with connect(demo_store) as store:
        (row,) = store.client.query("SELECT id FROM alerts_current WHERE severity = 'SEV1'").result_rows
    explained = run(["explain", row[0], "--store", demo_store, "--format", "json"])
    assert explained.exit_code == 0, explained.output
    assert alert.names[0] in json.loads(explained.stdout)["facts"]["why"]
