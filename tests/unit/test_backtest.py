"""What another configuration would change: alerts that come and go with the reason, incidents, partial results."""

import gzip
import json
import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from functools import cache, partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner, Result

from detector import assembly
from detector.backtest import known as incidents
from detector.backtest.compare import Comparison, compare
from detector.backtest.known import Known
from detector.backtest.play import Played, Player, Raised
from detector.backtest.workers import PlayError, interruptible, play
from detector.cli import app
from detector.cli.backtest import LOST
from detector.config import Config
from detector.config_base import ConfigError
from detector.history.files import from_files
from detector.history.rows import Decoders, Row, blocks
from detector.replay import Replay
from detector.sources.files import FileSource
from tests.support.service import DETECTOR

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "sample_logs" / "inbox_deletion"
HARM = b"551045377f6d9191f7db"
EVENTS, LABELS = SAMPLE / "events.ndjson.gz", SAMPLE / "expected.yaml"
T0 = datetime.fromisoformat("2026-03-02T09:00:00+00:00")

BLIND = """
detectors:
  stop_violation: {enabled: false}
  unapproved_action: {enabled: false}
  mass_deletion: {enabled: false}
  behaviour: {enabled: false}
"""
MUTED = """
mutes:
  - {name: mailboxes, reason: told, owner: ines, expires: 2027-01-01T00:00:00Z, up_to: SEV0, roles: [mail-assistant]}
"""


@cache
def lines() -> tuple[bytes, ...]:
    """The sample from a thousand events before the harm to four hundred after it."""
    all_lines = gzip.decompress(EVENTS.read_bytes()).splitlines(keepends=True)
    harm = next(place for place, line in enumerate(all_lines) if HARM in line)
    return tuple(all_lines[harm - 1000 : harm + 400])


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a file."""
    path = tmp_path_factory.mktemp("log") / "events.ndjson"
    path.write_bytes(b"".join(lines()))
    return path


@cache
def rows() -> tuple[Row, ...]:
    """The same as history."""
    return tuple(Row("file:events", 0, offset, 1.9e9, line) for offset, line in enumerate(lines()))


def played(config: Config, **options: Any) -> Played:
    player = Player(config, **options)
    for block in blocks(rows()):
        player.take(block)
    return player.result()


@cache
def by_default() -> Played:
    return played(Config())


def against(text: str, known: list[Known] | None = None) -> Comparison:
    config = Config.model_validate(_yaml(text))
    return compare(by_default(), played(config), Config(), config, known or incidents.read(LABELS))


def _yaml(text: str) -> Any:
    import yaml  # noqa: PLC0415

    return yaml.safe_load(text)


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["backtest", *map(str, arguments)])


def written(folder: Path, text: str) -> Path:
    path = folder / "new.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_player_raises_what_a_replay_raises(log: Path) -> None:
    replay = Replay(assembly.pipeline(Config()), assembly.decoder(Config()))
    replay.run(FileSource(log, lambda: 1.9e9))
    told = by_default()
    assert list(from_files([FileSource(log, lambda: 1.9e9, topic="file:events")]))[7].offset == rows()[7].offset
    assert {alert.id: alert.detected_at for alert in replay.result.alerts.values()} == {
        alert.id: alert.detected_at for alert in told.raised.values()
    }
    assert told.events == told.counted == replay.result.events
    assert len(told.findings) == replay.result.findings
    assert told.verdicts == replay.result.verdicts


def test_what_comes_before_the_span_only_warms_up() -> None:
    (alert,) = by_default().alerts
    late = played(Config(), since=alert.detected_at + timedelta(seconds=1))
    assert late.events == by_default().events
    assert 0 < late.counted < late.events
    assert late.alerts == [], "it was raised before"
    assert played(Config(), since=alert.detected_at).alerts[0].id == alert.id, "baselines were there"


def test_the_same_configuration_changes_nothing() -> None:
    same = against("{}")
    assert (same.gained, same.lost, same.changed, same.worse) == ((), (), [], [])
    assert [each.lost for each in same.caught] == [False]


def test_a_blind_configuration_loses_the_incident_and_says_why() -> None:
    blind = against(BLIND)
    (lost,) = blind.lost
    assert lost.alert.principals == ("mail-assistant-agent-02",)
    assert lost.why.startswith("made none of its ")
    assert blind.worse == ["inbox_deletion"]
    assert blind.gained == ()
    (gained,) = compare(played(Config.model_validate(_yaml(BLIND))), by_default(), Config(), Config(), []).gained
    assert gained.alert.id == lost.alert.id


def test_a_muted_alert_is_lost_to_its_mute() -> None:
    (lost,) = against(MUTED).lost
    assert lost.why == "suppressed by mute:mailboxes"


def test_a_later_alert_is_changed_and_not_lost() -> None:
    """Without the rule that fires first another one tells of it, by other events at the same time."""
    config = "detectors: {unapproved_action: {enabled: false}, behaviour: {enabled: false}}"
    told = against(config)
    assert (told.lost, told.gained) == ((), ())
    (pair,) = told.changed
    assert pair.seconds > 0
    (caught,) = told.caught
    assert caught.new is not None
    assert not caught.lost


def _alert(name: str, minute: float, *, events: set[str], who: str = "agent-1", severity: Any = "SEV3") -> Raised:
    at = T0 + timedelta(minutes=minute)
    return Raised(
        name, at, at, at + timedelta(minutes=10), severity, "", "", (who,), ("role",), ("behaviour",), {f"f-{name}"},
        events,
    )  # fmt: skip


def _result(*alerts: Raised) -> Played:
    return Played(raised={alert.id: alert for alert in alerts}, first=T0, last=T0 + timedelta(days=1))


@pytest.mark.parametrize(
    ("new", "paired"),
    [
        (_alert("a-2", 30, events={"e1"}, who="other"), True),
        (_alert("a-2", 5, events={"e9"}), True),
        (_alert("a-2", 30, events={"e9"}), False),
        (_alert("a-2", 5, events={"e9"}, who="other"), False),
        (_alert("a-1", 300, events={"e9"}, who="other"), True),
    ],
    ids=["a shared event", "the same agent at once", "the same agent later", "another agent", "the same id"],
)
def test_alerts_are_the_same_by_id_event_or_principal_and_time(new: Raised, paired: bool) -> None:
    told = compare(_result(_alert("a-1", 0, events={"e1"})), _result(new), Config(), Config(), [])
    assert bool(told.pairs) is paired
    assert len(told.lost) == len(told.gained) == (0 if paired else 1)


def test_an_alert_that_was_merged_is_told_by_the_one_that_goes_on() -> None:
    gone = msgspec.structs.replace(_alert("a-1", 0, events={"e1"}), merged_into="a-2")
    assert [alert.id for alert in _result(gone, _alert("a-2", 1, events={"e1"})).alerts] == ["a-2"]


def test_without_known_incidents_grave_alerts_must_not_be_lost() -> None:
    mild, grave = _alert("a-1", 0, events={"e1"}), _alert("a-2", 60, events={"e2"}, severity="SEV2")
    assert compare(_result(mild, grave), _result(), Config(), Config(), []).worse == ["a-2"]


def test_sessions_are_known_incidents_too(tmp_path: Path) -> None:
    session, event = _session_of_the_harm()
    path = tmp_path / "labels.jsonl"
    lines = [
        {"session": session, "compromised": True, "attack_spans": [event]},
        {"session": "s-0", "compromised": False},
    ]
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    known = incidents.read(path)
    assert [each.name for each in known] == [session]
    old = played(Config(), known=known)
    (caught,) = compare(old, old, Config(), Config(), known).caught
    assert caught.harm is not None
    assert caught.old is not None


def _session_of_the_harm() -> tuple[str, str]:
    expected = incidents.read(LABELS)[0]
    for event in map(json.loads, lines()):
        at = datetime.fromisoformat(event["time"])
        if at == expected.harm and event["actor"]["id"] in expected.principals:
            return event["actor"]["session"], event["id"]
    raise AssertionError("the sample has no harm")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("labels.jsonl", "no json", "wanted are sessions as JSON lines, or the expected.yaml"),
        ("labels.yaml", "scenario: x", "not the expectation of a scenario"),
        ("labels.yaml", "a: [", "not the expectation of a scenario"),
    ],
)
def test_labels_that_are_none_are_refused(tmp_path: Path, name: str, text: str, said: str) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=said):
        incidents.read(path)


def test_two_incidents_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="inbox_deletion is labelled twice"):
        incidents.told_apart([*incidents.read(LABELS), *incidents.read(LABELS)])


def test_two_players_in_processes_say_what_they_say_here() -> None:
    blind = Config.model_validate(_yaml(BLIND))
    seen: list[int] = []
    results = play(rows(), [partial(Player, Config()), partial(Player, blind)], seen.append)
    assert results[0] == by_default()
    assert results[1].alerts == []
    assert sum(seen) == len(rows())


def _broken() -> Any:
    raise ValueError("no such model")


class _Dies:
    """Ends the process it is in."""

    def take(self, _: Any) -> None:
        os._exit(3)

    def result(self) -> None:
        return None


@pytest.mark.parametrize(("maker", "said"), [(_broken, "ValueError: no such model"), (_Dies, "enough memory")])
def test_a_process_that_fails_is_told(maker: Any, said: str) -> None:
    with pytest.raises(PlayError, match=said):
        play(rows(), [partial(Player, Config()), maker])


@pytest.fixture
def heeding() -> Iterator[None]:
    """Interrupts are heard, also where the tests run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeding")
def test_the_first_interrupt_only_says_so() -> None:
    with interruptible() as stopped:
        assert not stopped()
        signal.raise_signal(signal.SIGINT)
        assert stopped()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_what_was_stopped_has_the_result_of_what_was_played() -> None:
    taken: list[int] = []
    (part,) = play(rows(), [partial(Player, Config())], taken.append, stopped=lambda: len(taken) == 1)
    assert part.events == sum(taken) == 1000


def test_an_event_is_found_in_its_message_by_its_id() -> None:
    message = rows()[0].raw
    event = json.loads(message)
    row = Row("t", 3, 7, 1.9e9, message, "native", 4, event["id"] + "~2")
    (envelope,) = Decoders(Config()).envelopes(row)
    assert (envelope.event.id, envelope.index, envelope.partition) == (event["id"], 4, 3)
    unknown = Row("t", 3, 7, 1.9e9, message, "no-such-format", 0, event["id"])
    assert Decoders(Config()).envelopes(unknown) == []
    assert Decoders(Config()).envelopes(Row("t", 0, 0, 1.9e9, b"{}", "native", 0, "x")) == []


def test_the_command_fails_a_script_where_an_incident_is_lost(log: Path, tmp_path: Path) -> None:
    blind = written(tmp_path, BLIND)
    done = invoke(log, "--config", blind, "--labels", LABELS, "--fail-if-lost", "--format", "json")
    assert done.exit_code == LOST
    told = json.loads(done.stdout)
    assert told["facts"]["known incidents"] == "1, caught 1 → 0"
    (incident,) = told["tables"]["incidents"]
    assert (incident["before"], incident["after"]) == ("SEV1", "missed")
    (lost,) = told["tables"]["lost"]
    assert lost["severity"] == "SEV1"
    assert [row["before"] for row in told["tables"]["severities"]] == [1]
    kept = invoke(log, "--labels", LABELS, "--fail-if-lost", "--format", "md")
    assert kept.exit_code == 0
    assert "caught 1 → 1" in kept.stdout
    assert "Both configurations are the same" in kept.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--from", "2026-03-02", "--to", "2026-03-01"], "ends"),
        (["--store", "chdb:///nowhere"], "leave out --store"),
        (["--topic", "agent-events"], "leave out --store and --topic"),
        (["--from", "soon"], "is no time"),
    ],
)
def test_options_that_do_not_go_together_are_refused(log: Path, arguments: list[str], said: str) -> None:
    done = invoke(log, *arguments)
    assert done.exit_code == 1
    assert said in str(done.exception)


def test_without_history_it_says_what_to_give() -> None:
    done = invoke()
    assert isinstance(done.exception, ConfigError)
    assert "no store to ask" in str(done.exception)


def test_ctrl_c_gives_what_was_played_until_then(tmp_path: Path) -> None:
    pipe = tmp_path / "endless.ndjson"
    os.mkfifo(pipe)
    blind = written(tmp_path, BLIND)
    command = [*DETECTOR, "backtest", str(pipe), "--config", str(blind), "--format", "json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as running:
        feeding = threading.Thread(target=_feed, args=(pipe, running), daemon=True)
        feeding.start()
        out, error = running.communicate(timeout=120)
        feeding.join(10)
    assert running.returncode == 130, error.decode()
    notes = " ".join(json.loads(out)["notes"])
    assert re.search("PARTIAL: interrupted after 1,(000|400) events", notes), "a block that was begun may be finished"


def _feed(pipe: Path, running: "subprocess.Popen[bytes]") -> None:
    """More than a block, which is being read for sure; then the interrupt, and only then what ends the next block."""
    with suppress(BrokenPipeError), pipe.open("wb") as file:
        file.writelines(lines()[:1200])
        file.flush()
        running.send_signal(signal.SIGINT)
        file.writelines(lines()[1200:])
