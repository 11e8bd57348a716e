"""Input that means harm: floods stay in bounds, nobody moves the clock, and names from outside do nothing anywhere."""

import io
import json
import sys
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
import structlog
from rich.console import Console

from detector import assembly, config_screen, screens
from detector.approvals import ControlSettings, Issuer
from detector.config import Config
from detector.config_file import read
from detector.events import Actor, Approval, Destination, Event, Permission, Target
from detector.exposures import WINDOWS_MOST, ExposureLedger
from detector.formats import REGISTRY
from detector.logs import log_to_stderr
from detector.partitions import ScoringSettings
from detector.renderings import RENDERINGS
from detector.scoring import Scoring
from detector.sinks.alertmanager import annotations
from detector.sources.member import CLOCKS_DIFFER, arrival
from detector.train.card import _cell
from tests.support.events import PARTITION, START, envelope, event, human
from tests.support.nouns import a_finding, an_alert

FEW = 200
NOW = START.timestamp()

WICKED = (
    "agent-\x1b[2J\x1b]0;owned\x07\x9b31m\r\n\u202eexe[bold red]<!channel><script>|`![x](https://evil.example/p)\x00"
)


def stage(**settings: Any) -> Scoring:
    made = assembly.scoring(Config(scoring=ScoringSettings(max_principals=FEW, dedup_window=1000), **settings))
    made.open(PARTITION)
    return made


def state(scoring: Scoring) -> int:
    return len(msgspec.msgpack.encode(scoring.snapshot(PARTITION)))


def feed(scoring: Scoring, events: Iterable[Event]) -> list[str]:
    verdicts: list[str] = []
    for offset, item in enumerate(events):
        scored = scoring.step(envelope(item, offset))
        assert not scored.error, scored.error
        verdicts.append(scored.verdict)
    return verdicts


def newcomer(i: int) -> Event:
    return event(
        i * 0.01,
        id=f"e-{i}",
        kind="transfer",
        actor=Actor(id=f"agent-{i}", role=f"role-{i}", session=f"s-{i}"),
        action=f"post-{i}",
        target=Target(uri=f"https://api-{i}.example/v1", sensitivity="restricted"),
        destination=Destination(host=f"host-{i}.example", zone="external"),
        bytes_out=1000,
        approval=Approval(required=True, id=f"A-{i}"),
    )


def stopped(i: int, by: str = "watchdog") -> Event:
    return event(i * 0.01, id=f"c-{i}", kind="control", action="stop", actor=Actor(id=by), target=Target(uri=f"a-{i}"))


@pytest.mark.parametrize("make", [newcomer, stopped], ids=["newcomers", "stops of made-up agents"])
def test_a_flood_of_principals_stays_in_bounds(make: Any) -> None:
    """What 6,000 leave behind is no more than what 3,000 did: the state follows the bound, not the flood.

    A flood of a million was measured at the default bound of 100,000 principals: flat from the first 100,000 on.
    """
    scoring = stage()
    feed(scoring, map(make, range(3000)))
    before = state(scoring)
    feed(scoring, map(make, range(3000, 6000)))
    assert scoring.principals == FEW
    assert state(scoring) < 1.1 * before


def test_stops_of_those_who_may_give_none_push_no_stop_out() -> None:
    named = ControlSettings(issuers=(Issuer(ids=("alice",)),))
    order = event(0, kind="control", action="stop", actor=human("alice"), target=Target(uri="agent-1"))
    act = event(100, kind="delete", action="mail.delete")
    for control, obeyed in ((named, True), (ControlSettings(), False)):
        scoring = stage(control=control)
        feed(scoring, [order, *map(stopped, range(1, 3000))])
        rules = [finding.rule for finding in scoring.step(envelope(act, 9999)).findings]
        assert ("after_stop" in rules) is obeyed


def test_a_principal_with_very_many_endpoints_stays_in_bounds() -> None:
    scoring = stage()
    flood = [msgspec.structs.replace(newcomer(i), actor=Actor(id="agent-1", role="r")) for i in range(10_000)]
    feed(scoring, flood[:5000])
    before = state(scoring)
    feed(scoring, flood[5000:])
    assert state(scoring) < 1.1 * before


def test_a_flood_of_opened_resources_stays_in_bounds() -> None:
    ledger = ExposureLedger()
    for i in range(WINDOWS_MOST + 100):
        evidence = {
            "resource": f"s3://b-{i}",
            "sensitivity": "restricted",
            "audience": "public",
            "audience_count": None,
        }
        ledger.open(a_finding(i, evidence=evidence), "a-1")
    assert len(ledger) == WINDOWS_MOST
    assert {window.resource for window in ledger.of("a-1")} == {f"s3://b-{i}" for i in range(100, WINDOWS_MOST + 100)}


def test_an_event_of_2099_changes_nothing_for_anybody() -> None:
    """Neither the watermark, nor the peers' boundary, nor who is known: the next honest event is as before."""
    scoring, twin = stage(), stage()
    far = event(73 * 365.25 * 86400.0, id="far", actor=Actor(id="liar"))
    assert far.time.year == 2099
    honest = [event(i * 60.0, id=f"h-{i}") for i in range(10)]
    feed(scoring, honest[:5])
    before = state(scoring)
    assert scoring.step(envelope(far, 99, received_at=NOW)).verdict == "future"
    assert state(scoring) == before
    assert feed(scoring, honest[5:]) == ["scored"] * 5
    feed(twin, honest)
    assert scoring.snapshot(PARTITION) == twin.snapshot(PARTITION)


@pytest.mark.parametrize(
    ("timestamp", "arrived"),
    [(NOW - 1e6, NOW - 1e6), (NOW + CLOCKS_DIFFER, NOW + CLOCKS_DIFFER), (4e9, NOW), (-1, NOW)],
)
def test_a_producer_can_not_vouch_for_the_future_by_its_own_timestamp(timestamp: float, arrived: float) -> None:
    assert arrival(timestamp, NOW) == arrived


def test_late_and_repeated_events_are_told_apart_and_scored_once() -> None:
    scoring = stage()
    times = [0.0, 7200.0, 7100.0, 3599.0, 3600.0]
    events = [event(seconds, id=f"e-{seconds}") for seconds in times]
    assert feed(scoring, events) == ["scored", "scored", "scored", "late", "scored"]
    assert feed(scoring, events) == ["duplicate"] * 5


@pytest.mark.parametrize("field", ["bytes_out", "bytes_in", "records"])
@pytest.mark.parametrize("number", ["-1", "NaN", "Infinity", "1e308", "1e400", "9223372036854775808", '"12"', "1.5"])
def test_absurd_numbers_are_refused_with_a_reason(field: str, number: str) -> None:
    raw = msgspec.json.encode(event(0, kind="transfer", actor=Actor(id="a")))[:-1] + f',"{field}":{number}}}'.encode()
    decoded = REGISTRY["native"](raw)
    assert not isinstance(decoded, tuple)
    assert decoded.reason in {"wrong_shape", "not_json"}


def test_the_largest_numbers_are_scored() -> None:
    scoring = stage()
    huge = [event(i, kind="transfer", id=f"e-{i}", bytes_out=2**63 - 1, records=2**63 - 1) for i in range(50)]
    assert feed(scoring, huge) == ["scored"] * 50


def wicked_alert() -> Any:
    return an_alert(1, title=f"{WICKED} went on", reason=f"{WICKED} did it", principals=(WICKED,), roles=(WICKED,))


def does_nothing(text: str) -> bool:
    """Whether a terminal would only print it."""
    return all(char.isprintable() or char == "\n" for char in text)


@pytest.mark.parametrize("width", [80, 200])
def test_a_terminal_only_prints_what_names_hold(width: int) -> None:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(screens.story(wicked_alert()))
    console.print(screens.plain(WICKED))
    console.print(screens.failure(ValueError(WICKED)))
    wicked = Config.model_validate({"charters": {"roles": {WICKED: {"needs_approval": [WICKED]}}}})
    console.print(config_screen.settings_table(read(None, {})._replace(config=wicked)))
    written = console.file.getvalue()  # type: ignore[attr-defined]
    assert does_nothing(written)
    assert "[bold red]" in written.replace("\n", ""), "markup is shown, not obeyed"


@pytest.mark.parametrize("terminal", [True, False])
def test_a_log_line_stays_one_line(terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: terminal)
    monkeypatch.setattr(sys, "stderr", stream)
    log_to_stderr(0)
    tight = WICKED.translate(dict.fromkeys(map(ord, "\r\n ")))  # what has no white space is written without quotes
    structlog.get_logger("test").warning("event_not_scored", event_id=WICKED, principal=tight, ids=[WICKED], place=7)
    structlog.reset_defaults()
    written = stream.getvalue()
    assert written.count("\n") == 1
    if terminal:
        assert "\x07" not in written
        assert "\x1b]" not in written
        assert "\x1b[2J" not in written
        assert "\u202e" not in written
    else:
        assert does_nothing(written)
        assert json.loads(written)["event_id"] == WICKED, "a machine reads what was written"


def test_alertmanager_gets_no_markup_and_no_control_character() -> None:
    shown = annotations(wicked_alert())
    for text in shown.values():
        assert text.isprintable()
        assert not set(text) & set("<>`[]")
    assert "https://evil.example/p" in shown["description"], "what was done can still be read"


def test_a_cell_of_a_page_holds_no_markup() -> None:
    cell = _cell(WICKED)
    assert cell.isprintable()
    assert "<" not in cell
    for mark in "|`[":
        assert cell.count(mark) == cell.count(f"\\{mark}")


@pytest.mark.parametrize("name", sorted(RENDERINGS))
def test_json_carries_names_escaped_and_whole(name: Any) -> None:
    written = RENDERINGS[name](wicked_alert())
    assert not set(written) & set(range(0x20))
    assert json.dumps(WICKED)[1:-1] in json.dumps(json.loads(written))


def test_a_grant_by_a_wicked_name_is_told_whole() -> None:
    """From the event to the alert nothing raises, and the name is kept as data."""
    pipeline = assembly.pipeline(Config())
    grant = event(
        0,
        kind="permission",
        actor=Actor(id=WICKED, role=WICKED),
        action=WICKED,
        target=Target(uri=WICKED, sensitivity="restricted"),
        permission=Permission(change="grant", audience="public", privilege=WICKED),
    )
    step = pipeline.step(envelope(grant))
    assert step.verdict == "scored"
    assert [alert.principals for alert in step.alerts] == [(WICKED,)]
