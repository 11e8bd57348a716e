"""What the service believes normal is, out of its checkpoints; and how a lasting change is accepted."""

import base64
import json
import zlib
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer
from typer.testing import CliRunner

from detector import assembly, baseline
from detector.approvals import ControlSettings, Issuer
from detector.audit.answer import Answer
from detector.checkpoints import CheckpointError, CheckpointStore, Piece
from detector.cli import app
from detector.cli import rebaseline as orders
from detector.config import Config, State
from detector.config_base import ConfigError
from detector.detectors import REGISTRY
from detector.events import Content, Envelope, Event, Target
from detector.findings import Finding
from detector.rebaseline import has_baseline
from detector.relearning import pack, unpack
from detector.scoring import Scoring
from tests.support.events import PARTITION, START, envelope, event, human, sending

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
    scoring: Scoring, principal: str, day: int, detectors: object = (), by: str = "alice", **more: Any
) -> tuple[Finding, ...]:
    """The order to learn a principal anew, at the end of a day; what is found in it."""
    return scoring.step(envelope(rebaselining(principal, day, detectors, by, **more), 5000 + day)).findings


def rebaselining(principal: str, day: int, detectors: object = (), by: str = "alice", **more: Any) -> Event:
    return event(
        86400.0 * day + 8 * 3600.0,
        id=f"rebaseline-{principal}-{day}-{detectors}",
        kind="control",
        action="rebaseline",
        actor=human(by),
        target=Target(uri=principal),
        attributes={"detectors": detectors, **more},
    )


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
    scoring = scored()
    assert "transfer_rate" in fed(scoring, grown(DAYS))
    assert "transfer_rate" in fed(scoring, grown(DAYS + 1)), "what is flagged is not learnt"
    rebaseline(scoring, "mover-1", DAYS + 1, ["transfer_rate"])
    for day in range(2, 6):
        fed(scoring, grown(DAYS + day))
    assert fed(scoring, grown(DAYS + 6)) == [], "learnt anew"


def grown(day: int) -> list[Event]:
    """A day of mover-1 with 300 MB an hour."""
    return [sending(86400.0 * day + 3600.0 * hour, "mover-1", 300_000_000) for hour in range(8)]


def fed(scoring: Scoring, events: list[Event]) -> list[str]:
    """The detectors that find something in them."""
    told = [scoring.step(envelope(item, 10_000 + place)).findings for place, item in enumerate(events)]
    return [finding.detector for found in told for finding in found]


MANY = msgspec.json.encode(grown(1)[0])


def test_with_a_history_the_change_is_usual_at_once() -> None:
    days = [*grown(DAYS), *grown(DAYS + 1), *grown(DAYS + 2)]
    anew, learnt = scored(), scored()
    for scoring in (anew, learnt):
        assert "transfer_rate" in fed(scoring, days)
    rebaseline(anew, "mover-1", DAYS + 2, ["transfer_rate"])
    rebaseline(learnt, "mover-1", DAYS + 2, ["transfer_rate"], history=pack(days))
    as_it_is, from_nothing = (baseline.answer(each, "mover-1") for each in (learnt, anew))
    (rate,) = rows(as_it_is, "rates")
    assert rows(from_nothing, "rates") == []
    assert rate["hours"] == "24 of 24"
    assert min(rate["working_day_hours"]) > 50e6, "more than twenty times what it was"
    assert fed(learnt, grown(DAYS + 3)) == []


def test_a_history_is_learnt_as_it_would_have_been() -> None:
    """Of one that had nothing strange in it, all detectors know what they knew."""
    scoring = scored()
    before = scoring.remembered("mover-1")
    assert before is not None
    known = {name: REGISTRY[name](REGISTRY[name].Settings()).dump(state) for name, state in before.states.items()}
    twin = scored()
    rebaseline(twin, "mover-1", DAYS)
    own = [item.event for item in log() if item.event.principal == "mover-1"]
    rebaseline(scoring, "mover-1", DAYS, history=pack([*reversed(own), *_of_others(own), *grown(DAYS + 1)]))
    after = scoring.remembered("mover-1")
    assert after is not None
    again = {name: REGISTRY[name](REGISTRY[name].Settings()).dump(state) for name, state in after.states.items()}
    assert again.keys() == known.keys()
    for name in ("new_endpoint", "behaviour", "identity_misuse"):
        assert again.get(name) == known.get(name), "whatever the order, and without what others do, or comes later"
    assert again["transfer_rate"][:2] == known["transfer_rate"][:2]
    of_peers = (each.snapshot(PARTITION)["accumulating"] for each in (scoring, twin))
    assert len({msgspec.json.encode(sums) for sums in of_peers}) == 1, "they are told nothing twice"


def _of_others(events: list[Event]) -> list[Event]:
    return [msgspec.structs.replace(each, actor=human("mover-2")) for each in events]


def test_the_same_order_with_a_history_repeats_itself_over_a_restart() -> None:
    one, two = scored(), assembly.scoring(Config(control=ALLOWED))
    two.open(PARTITION, msgspec.msgpack.decode(msgspec.msgpack.encode(one.snapshot(PARTITION))))
    two.settle()
    for scoring in (one, two):
        rebaseline(scoring, "mover-1", DAYS, history=pack(grown(DAYS - 1)))
    assert one.snapshot(PARTITION)["principals"] == two.snapshot(PARTITION)["principals"]


@pytest.mark.parametrize(
    ("history", "why"),
    [
        (7, "can't be read"),
        ("no base64!", "can't be read"),
        (base64.b64encode(b"no zlib").decode(), "can't be read"),
        (base64.b64encode(zlib.compress(b"[{}]")).decode(), "can't be read"),
        (base64.b64encode(zlib.compress(b"[]")[:-3]).decode(), "cut off"),
        (base64.b64encode(zlib.compress(bytes(65 << 20))).decode(), "more than 67108864 bytes"),
        (base64.b64encode(zlib.compress(b"[%b]" % b",".join([MANY] * 50_001))).decode(), "50001 acts; at most 50000"),
    ],
    ids=["number", "base64", "zlib", "shape", "cut", "bomb", "many"],
)
def test_an_order_with_a_history_that_can_not_be_read_changes_nothing(history: Any, why: str) -> None:
    scoring = scored()
    before = states(scoring, "mover-1")
    done = scoring.step(envelope(rebaselining("mover-1", DAYS, history=history), 5000))
    assert done.verdict == "error"
    assert why in done.error
    assert states(scoring, "mover-1") == before
    assert scoring.step(envelope(grown(DAYS + 1)[0], 5001)).verdict == "scored"


def test_what_is_carried_is_small_and_holds_no_words() -> None:
    spoken = [
        msgspec.structs.replace(each, content=Content(request=("a", "secret")), thread="t-1") for each in grown(1)
    ]
    order = rebaselining("mover-1", DAYS, history=pack(spoken))
    assert unpack(order) == grown(1)
    assert unpack(rebaselining("mover-1", DAYS)) is None
    month = [event for day in range(30) for event in grown(day)]
    assert len(pack(month)) < 60 * len(month)


def test_what_no_message_holds_is_told_with_a_time_from_which_it_would(monkeypatch: pytest.MonkeyPatch) -> None:
    days = [event for day in range(30) for event in grown(day)]
    assert unpack(rebaselining("mover-1", 40, history=orders._packed(days))) == days
    monkeypatch.setattr(orders, "PACKED_MOST", len(pack(days)) // 2)
    with pytest.raises(
        ConfigError, match=r"240 acts are more than a message holds.*later --since, such as 2026-03-1\d"
    ):
        orders._packed(days)


def test_since_when_is_a_time_or_days_back() -> None:
    now = START + timedelta(days=20)
    assert orders.moment_before("14d", now) == START + timedelta(days=6)
    assert orders.moment_before("2026-03-02T09:00Z", now) == START
    for wrong in ("soon", "2026-04-02", "-3d"):
        with pytest.raises(typer.BadParameter):
            orders.moment_before(wrong, now)


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
