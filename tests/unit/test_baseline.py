"""What the service believes normal is, out of its checkpoints; and how a lasting change is accepted."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from detector import assembly, baseline
from detector.approvals import ControlSettings, Issuer
from detector.audit.answer import Answer
from detector.checkpoints import CheckpointError, CheckpointStore, Piece
from detector.cli import app
from detector.config import Config, State
from detector.detectors import REGISTRY
from detector.events import Envelope, Target
from detector.findings import Finding
from detector.rebaseline import has_baseline
from detector.scoring import Scoring
from tests.support.events import PARTITION, envelope, event, human, sending

DAYS = 12
HOST = "partner.example"
ALLOWED = ControlSettings(issuers=(Issuer(ids=("alice", "mover-*"), orders=("stop", "rebaseline")),))


@cache
def log() -> tuple[Envelope, ...]:
    """Twelve days of two movers: each sends 20 kB an hour from nine to four, and 2 MB at noon."""
    events = [
        sending(86400.0 * day + 3600.0 * hour, name, 2_000_000 if hour == 3 else 20_000)
        for day in range(DAYS)
        for hour in range(8)
        for name in ("mover-1", "mover-2")
    ]
    return tuple(envelope(item, offset) for offset, item in enumerate(events))


def scored(control: ControlSettings = ALLOWED) -> Scoring:
    scoring = assembly.scoring(Config(control=control))
    scoring.open(PARTITION)
    for item in log():
        assert scoring.step(item).verdict == "scored"
    return scoring


def rebaseline(
    scoring: Scoring, principal: str, day: int, detectors: object = (), by: str = "alice"
) -> tuple[Finding, ...]:
    """The order to learn a principal anew, at the end of a day; what is found in it."""
    order = event(
        86400.0 * day + 8 * 3600.0,
        id=f"rebaseline-{principal}-{day}-{detectors}",
        kind="control",
        action="rebaseline",
        actor=human(by),
        target=Target(uri=principal),
        attributes={"detectors": detectors},
    )
    return scoring.step(envelope(order, 5000 + day)).findings


def saved(folder: Path, scoring: Scoring) -> Config:
    """The configuration of a service that saved this state, in two pieces."""
    config = Config(state=State(url=f"file://{folder}"))
    head, capture = scoring.capture(PARTITION, whole=True)
    piece = Piece({"scoring": head, "ticker": [None, None]}, whole=True)
    while rows := capture.take(100):
        piece.add(rows)
    store = CheckpointStore(config.state.url, "score")
    store.load([PARTITION])
    store.save({PARTITION: (len(log()), piece)}, generation=7)
    return config


def rows(answer: Answer, name: str) -> list[dict[str, Any]]:
    return next(table for table in answer.tables if table.name == name).dicts()


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    return saved(tmp_path_factory.mktemp("state"), scored())


def test_what_was_saved_is_what_is_told(config: Config) -> None:
    told, live = baseline.answer(baseline.restored(config), "mover-1"), baseline.answer(scored(), "mover-1")
    assert told == live
    assert told.facts["principal"] == "mover-1 (agent, role mover)"
    assert told.facts["events"] == DAYS * 8
    assert told.facts["active hours"] == DAYS * 8
    assert told.facts["known since"] == "2026-03-02T09:00:00.000Z, for 11 d 7 h"


def test_rates_are_told_by_the_hour_of_working_days_and_weekends(config: Config) -> None:
    (rate,) = rows(baseline.answer(baseline.restored(config), "mover-1"), "rates")
    assert rate["channel"] == "bytes outside"
    assert rate["hours"] == "96 of 96"
    by_hour = rate["working_day_hours"]
    assert len(by_hour) == len(rate["weekend_hours"]) == 24
    assert by_hour.index(max(by_hour)) == 12, "the two megabytes at noon"
    assert by_hour[12] > 5 * by_hour[10]
    assert rate["working_day"][12] == "█"
    assert 0.9 < rate["confidence"] < 1.0


def test_endpoints_and_actions_are_told_with_who_else_uses_them(config: Config) -> None:
    told = baseline.answer(baseline.restored(config), "mover-2")
    (endpoint,) = rows(told, "endpoints")
    assert {key: endpoint[key] for key in ("namespace", "endpoint", "status", "in_role", "in_fleet")} == {
        "namespace": "host",
        "endpoint": HOST,
        "status": "known",
        "in_role": 2,
        "in_fleet": 2,
    }
    assert rows(told, "actions") == [{"action": "transfer", "count": 96, "share": 1.0}]
    (namespace,) = rows(told, "namespaces")
    assert namespace["distinct"] < 1.01
    assert namespace["p_new"] < 0.1


def test_a_reported_endpoint_is_told_as_that() -> None:
    scoring = scored()
    strange = sending(86400.0 * DAYS, "mover-1", 900_000_000, host="drop.example")
    assert scoring.step(envelope(strange, len(log()))).findings
    endpoints = rows(baseline.answer(scoring, "mover-1"), "endpoints")
    assert [(row["endpoint"], row["status"]) for row in endpoints] == [(HOST, "known"), ("drop.example", "reported")]


def test_looking_changes_nothing() -> None:
    scoring = scored()
    before = scoring.snapshot(PARTITION)
    baseline.answer(scoring, "mover-1")
    assert scoring.snapshot(PARTITION) == before


@pytest.mark.parametrize("place", ["there/is/none", "empty"])
def test_without_checkpoints_it_says_where_it_looked(tmp_path: Path, place: str) -> None:
    (tmp_path / "empty" / "score").mkdir(parents=True)
    with pytest.raises(CheckpointError, match="no checkpoints"):
        baseline.restored(Config(state=State(url=str(tmp_path / place))))
    assert not (tmp_path / "there").exists(), "who only looks makes nothing"


def test_the_command_tells_all_as_json_and_refuses_strangers(config: Config, tmp_path: Path) -> None:
    path = tmp_path / "detector.yaml"
    path.write_text(f"state: {{url: {config.state.url}}}\n", encoding="utf-8")
    done = CliRunner().invoke(app, ["baseline", "mover-1", "--config", str(path), "--format", "json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert set(told["tables"]) == {"rates", "endpoints", "actions", "namespaces"}
    assert told["facts"]["events"] == DAYS * 8
    shown = CliRunner().invoke(app, ["baseline", "mover-1", "--config", str(path)])
    assert "█" in shown.stdout
    stranger = CliRunner().invoke(app, ["baseline", "mover-9", "--config", str(path)])
    assert isinstance(stranger.exception, CheckpointError)
    assert "nothing is known of 'mover-9'" in str(stranger.exception)


def test_a_lasting_change_is_accepted_and_told_no_more() -> None:
    def grown(scoring: Scoring, day: int) -> list[str]:
        moved = [sending(86400.0 * day + 3600.0 * hour, "mover-1", 300_000_000) for hour in range(8)]
        found = [scoring.step(envelope(item, 1000 * day + place)).findings for place, item in enumerate(moved)]
        return [finding.detector for told in found for finding in told]

    scoring = scored()
    assert "transfer_rate" in grown(scoring, DAYS)
    assert "transfer_rate" in grown(scoring, DAYS + 1), "what is flagged is not learnt"
    rebaseline(scoring, "mover-1", DAYS + 1, ["transfer_rate"])
    for day in range(2, 6):
        grown(scoring, DAYS + day)
    assert grown(scoring, DAYS + 6) == [], "learnt anew"


def test_a_rebaseline_leaves_peers_orders_and_other_detectors_alone() -> None:
    scoring, other = scored(), scored()
    for each in (scoring, other):
        order = event(
            DAYS * 86400.0, id="stop", kind="control", action="stop", actor=human("alice"), target=Target(uri="mover-1")
        )
        each.step(envelope(order, 5000))
    rebaseline(scoring, "mover-1", DAYS)
    known, before = scoring.remembered("mover-1"), other.remembered("mover-1")
    assert known is not None
    assert before is not None
    assert known.pinned, "a stop is not forgotten"
    gone = set(before.states) - set(known.states)
    assert {"new_endpoint", "transfer_rate", "behaviour"} <= gone
    assert all(has_baseline(REGISTRY[name]) for name in gone)
    assert not any(channel.startswith("transfer_rate") for channel in known.tests)
    untouched, as_it_was = scoring.snapshot(PARTITION), other.snapshot(PARTITION)
    assert untouched["accumulating"] == as_it_was["accumulating"]
    assert [row for row in untouched["principals"] if row[0] == "mover-2"] == [
        row for row in as_it_was["principals"] if row[0] == "mover-2"
    ]


def test_a_rebaseline_is_in_the_next_checkpoint() -> None:
    scoring = scored()
    _, capture = scoring.capture(PARTITION, whole=True)
    while capture.take(100):
        pass
    rebaseline(scoring, "mover-2", DAYS, ["new_endpoint"])
    _, changes = scoring.capture(PARTITION, whole=False)
    assert len(changes.take(100)) == 1


def states(scoring: Scoring, principal: str) -> set[str]:
    known = scoring.remembered(principal)
    return set(known.states) if known is not None else set()


@pytest.mark.parametrize("named", [["stop_violation"], ["nobody"], [7, None], [["transfer_rate"]]])
def test_only_what_weighs_probabilities_can_be_learnt_anew(named: list[Any]) -> None:
    scoring = scored()
    before = states(scoring, "mover-1")
    rebaseline(scoring, "mover-1", DAYS, named)
    assert before <= states(scoring, "mover-1")
    rebaseline(scoring, "mover-1", DAYS, "no list")
    assert "transfer_rate" not in states(scoring, "mover-1"), "no list: all of them"


@pytest.mark.parametrize(
    ("control", "by", "heard"),
    [
        (ALLOWED, "alice", True),
        (ALLOWED, "bob", False),
        (ALLOWED, "mover-1", False),
        (ControlSettings(), "alice", False),
        (ControlSettings(issuers=(Issuer(ids=("alice",)),)), "alice", False),
    ],
)
def test_only_who_is_allowed_it_by_name_is_heard(control: ControlSettings, by: str, heard: bool) -> None:
    scoring = scored(control)
    found = rebaseline(scoring, "mover-1", DAYS, by=by)
    assert ("transfer_rate" not in states(scoring, "mover-1")) is heard
    assert [finding.rule for finding in found] == ([] if heard else ["forged_order"])
