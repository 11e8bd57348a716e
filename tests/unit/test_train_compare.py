"""The forest beside the running detectors: who flags which hour, held against an account that is kept apart."""

import os
import signal
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner, Result

from detector import assembly
from detector.activity import Activity, milestone
from detector.audit.answer import Span
from detector.backtest.workers import play
from detector.cli import app
from detector.config import Config
from detector.config_digests import MODEL_SETTING, with_digests
from detector.decoding import Decoder
from detector.detectors.forest_challenger import ForestChallenger
from detector.events import Destination, Event, Target
from detector.history.rows import Row
from detector.model_file import ModelError, dumps
from detector.overrides import Override
from detector.scoring import Scoring
from detector.severity import at_least
from detector.sources.base import Record
from detector.train import training
from detector.train.answer import told
from detector.train.card import Card, Comparison, card_markdown
from detector.train.compare import Beside, Hour
from detector.train.history import from_records
from detector.train.training import MODEL_FILE, Trained, train, trained_before, write
from models.forest import ForestParams
from tests.support.events import envelope, event, human
from tests.support.simulator.background import background
from tests.support.simulator.rhythm import Period
from tests.support.simulator.trail import utc
from tests.support.simulator.world import Population, build_world

BY_DEFAULT = Config()
P = 0.02


def configured(**challenger: Any) -> Config:
    return Config.model_validate({"detectors": {"forest_challenger": challenger}})


def leak(quiet: Sequence[Event], time: datetime) -> list[Event]:
    """An agent that puts much of what is restricted on forty hosts that nobody has seen."""
    agent = next(item.actor for item in quiet if item.actor.kind == "agent")
    return [
        Event(
            id=f"leak-{time:%H}-{i}",
            time=time + timedelta(seconds=20 * i),
            actor=agent,
            kind="transfer",
            action="put",
            target=Target(uri=f"db://t{i}", sensitivity="restricted"),
            destination=Destination(host=f"drop-{i}.example", zone="external"),
            bytes_out=400_000_000,
        )
        for i in range(40)
    ]


def ignored_stop(quiet: Sequence[Event], time: datetime) -> list[Event]:
    """Another agent does one small thing after it was told to stop."""
    agent = [item.actor for item in quiet if item.actor.kind == "agent"][-1]
    order = event(0, kind="control", action="stop", actor=human("alice"), target=Target(uri=agent.id, type="agent"))
    act = event(0, kind="delete", action="delete", actor=agent, target=Target(uri="file://notes"))
    return [
        msgspec.structs.replace(order, time=time),
        msgspec.structs.replace(act, time=time + timedelta(minutes=2)),
    ]


def forged_order(time: datetime) -> Event:
    """An agent that does nothing else resumes itself."""
    agent = Target(uri="agent-alone", type="agent")
    order = event(0, kind="control", action="resume", actor=human("agent-alone"), target=agent)
    return msgspec.structs.replace(order, time=time)


@pytest.fixture(scope="module")
def days() -> list[Event]:
    """What forty principals do in three days; on the last there are two leaks, an ignored stop and a forged order."""
    quiet = background(build_world(4, Population.of(40)), Period(utc(2026, 3, 2), utc(2026, 3, 5)))
    odd = (
        *leak(quiet, utc(2026, 3, 4, 12)),
        *leak(quiet, utc(2026, 3, 4, 14)),
        *ignored_stop(quiet, utc(2026, 3, 4, 15)),
        forged_order(utc(2026, 3, 4, 16)),
    )
    return sorted([*quiet, *odd], key=lambda item: item.time)


@pytest.fixture(scope="module")
def rows(days: list[Event]) -> list[Row]:
    """The same as history."""
    return [Row("events", 0, n, 1.9e9, msgspec.json.encode(item)) for n, item in enumerate(days)]


@pytest.fixture(scope="module")
def trained(rows: list[Row]) -> Trained:
    """A small forest, and its card."""
    records = (Record(row.topic, 0, row.offset, None, row.raw, row.received_at) for row in rows)
    return train(from_records(records, Decoder("native")), ["days"], ForestParams(trees=30, seed=5))


@pytest.fixture(scope="module")
def compared(rows: list[Row], trained: Trained) -> Comparison:
    """How it compares, at a `p` of its own."""
    return beside(rows, trained, configured(p=P))


def beside(rows: Sequence[Row], trained: Trained, config: Config, **options: Any) -> Comparison:
    player = Beside(config, trained.forest, options.pop("held_out_from", trained.card.held_out_from), **options)
    (found,) = play(rows, [lambda: player])
    assert isinstance(found, Comparison)
    return found


def hour_of(time: datetime) -> int:
    return int(time.timestamp() // 3600)


def flagged(days: Sequence[Event], since: datetime, config: Config = BY_DEFAULT) -> dict[Hour, set[str]]:
    """What the detectors flag by themselves, without any forest."""
    scoring = assembly.scoring(config)
    scoring.open(("events", 0))
    found: dict[Hour, set[str]] = {}
    for n, item in enumerate(days):
        for each in scoring.step(envelope(item, n)).findings:
            if each.time >= since and at_least(each.severity, "SEV3") and each.suppressed is None:
                found.setdefault((each.principal, hour_of(each.time)), set()).add(each.detector)
    return found


def strange(days: Sequence[Event], trained: Trained, p: float) -> set[Hour]:
    """The hours in which the forest finds a vector strange, straight from the vectors."""
    activities: dict[str, Activity] = {}
    found: set[Hour] = set()
    for item in days:
        activity = activities.setdefault(item.principal, Activity())
        activity.add(item, item.time.timestamp())
        judged = item.kind != "control" and milestone(activity.events) and item.time >= trained.card.held_out_from
        if judged and trained.forest.p_value(trained.forest.score_one(activity.vector())) < p:
            found.add((item.principal, activity.hour))
    return found


def noted(days: Sequence[Event], trained: Trained, config: Config) -> int:
    """How often a challenger as it is configured notes in the time that counts."""
    settings = getattr(config.detectors, "forest_challenger")  # noqa: B009 - made at run time
    scoring = Scoring([ForestChallenger(settings, trained.forest)])
    scoring.open(("events", 0))
    steps = [scoring.step(envelope(item, n)) for n, item in enumerate(days)]
    return sum(found.time >= trained.card.held_out_from for step in steps for found in step.findings)


def test_the_hours_are_told_by_who_flags_them(days: list[Event], trained: Trained, compared: Comparison) -> None:
    since = trained.card.held_out_from
    by_others, by_forest = flagged(days, since).keys(), strange(days, trained, P)
    acts = {(item.principal, hour_of(item.time)) for item in days if item.time >= since and item.kind != "control"}
    assert by_others & by_forest, "the leak is seen by both"
    assert by_others - by_forest
    assert by_forest - by_others
    assert by_others - acts, "of whom nothing was done"
    assert compared.both == len(by_others & by_forest)
    assert compared.running_only == len(by_others - by_forest)
    assert compared.forest_only == len(by_forest - by_others)
    assert compared.hours == len(acts | by_others)
    assert compared.noted_share == round(len(by_others & by_forest) / len(by_others), 4)
    assert sum(hours for _, hours, _ in compared.shares()) == compared.hours
    assert sum(share for _, _, share in compared.shares()) == pytest.approx(1.0)


def test_each_running_detector_is_told_with_what_it_shares(
    days: list[Event], trained: Trained, compared: Comparison
) -> None:
    found, by_forest = flagged(days, trained.card.held_out_from), strange(days, trained, P)
    names = {name for each in found.values() for name in each}
    assert {each.detector for each in compared.overlaps} == names
    for each in compared.overlaps:
        hours = {hour for hour, by in found.items() if each.detector in by}
        assert (each.hours, each.noted) == (len(hours), len(hours & by_forest))
    assert "forest_challenger" not in compared.detectors
    assert "transfer_rate" in compared.detectors


def test_the_notes_are_those_that_the_challenger_would_make(
    days: list[Event], trained: Trained, compared: Comparison
) -> None:
    assert [level.p for level in compared.levels] == [1e-4, 1e-3, 1e-2, P]
    for level in compared.levels:
        assert level.notes == noted(days, trained, configured(p=level.p))
        assert level.both + level.forest_only == len(strange(days, trained, level.p))
    assert 0 < compared.notes < compared.both + compared.forest_only, "once a day"
    assert compared.notes == compared.levels[3].notes
    length = (compared.last - compared.first).total_seconds() / 86400
    assert compared.notes_a_day == round(compared.notes / length, 3)


def test_a_note_before_what_counts_silences_those_after_it(
    rows: list[Row], days: list[Event], trained: Trained
) -> None:
    config = configured(p=P, repeat_after=3 * 86400.0)
    assert beside(rows, trained, config).notes == noted(days, trained, config) < noted(days, trained, configured(p=P))


def test_the_strangest_to_the_forest_alone_come_first_with_their_reasons(
    days: list[Event], trained: Trained, compared: Comparison
) -> None:
    alone = strange(days, trained, P) - flagged(days, trained.card.held_out_from).keys()
    assert {(row.principal, hour_of(row.hour)) for row in compared.alone} == alone
    scores = [row.score for row in compared.alone]
    assert scores == sorted(scores, reverse=True)
    assert all(row.reasons and row.p_value < P for row in compared.alone)


def test_what_is_told_of_the_span(days: list[Event], trained: Trained, compared: Comparison) -> None:
    since = trained.card.held_out_from
    assert compared.warm_up_events == sum(item.time < since for item in days)
    assert compared.events == len(days) - compared.warm_up_events
    assert since <= compared.first <= min(item.time for item in days if item.time >= since)
    assert compared.last - timedelta(hours=1) <= max(item.time for item in days) < compared.last


def test_the_same_history_gives_the_same_comparison(rows: list[Row], trained: Trained, compared: Comparison) -> None:
    again = beside(rows, trained, configured(p=P))
    assert msgspec.json.encode(again) == msgspec.json.encode(compared)


def test_what_is_suppressed_flags_nothing(rows: list[Row], trained: Trained) -> None:
    muted = {
        "name": "m",
        "reason": "r",
        "owner": "o",
        "expires": "2027-01-01T00:00:00Z",
        "up_to": "SEV0",
        "principals": ["*"],
    }
    found = beside(rows, trained, Config.model_validate({"mutes": [muted]}))
    assert (found.both, found.running_only, found.overlaps) == (0, 0, ())
    assert (found.notes, found.forest_only, found.noted_share) == (0, 0, None)
    assert found.hours > 100


def test_an_override_of_the_challenger_holds_here_too(rows: list[Row], trained: Trained) -> None:
    order = {"name": "o", "reason": "r", "owner": "o", "detectors": ["forest_challenger"]}

    def under(**given: Any) -> Comparison:
        return beside(rows, trained, Config.model_validate({"overrides": [order | given]}))

    plain = beside(rows, trained, BY_DEFAULT)
    assert [level.notes for level in under(enabled=False).levels] == [0, 0, 0]
    assert len({level.both + level.forest_only for level in plain.levels}) > 1
    loud = {level.both + level.forest_only for level in under(settings={"p": 0.3}).levels}
    assert len(loud) == 1, "its p holds at all levels"
    assert loud.pop() > plain.levels[-1].both + plain.levels[-1].forest_only
    assert under(settings={"repeat_after": 1.0}).levels == plain.levels, "of p it says nothing"


@pytest.mark.parametrize("challenger", [{"model": "nowhere.skops"}, {"enabled": False}], ids=["another", "off"])
def test_the_forest_is_heard_whatever_the_challenger_is(
    challenger: dict[str, Any], rows: list[Row], trained: Trained, compared: Comparison
) -> None:
    found = beside(rows, trained, configured(p=P, **challenger))
    assert msgspec.structs.replace(found, config=compared.config) == compared


def test_a_history_after_the_training_warms_up_first(rows: list[Row], days: list[Event], trained: Trained) -> None:
    before = days[0].time - timedelta(days=1)
    found = beside(rows, trained, BY_DEFAULT, held_out_from=before, warm_up=1.5)
    begins = (days[0].time + timedelta(days=1.5)).replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    assert found.warm_up_events == sum(item.time < begins for item in days)
    assert found.first >= begins
    assert beside(rows, trained, BY_DEFAULT, held_out_from=before, warm_up=30.0).hours == 0
    first = days[0].time.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    found = beside(rows, trained, BY_DEFAULT, held_out_from=before)
    assert found.warm_up_events == sum(item.time < first for item in days), "the hour that is cut"


def test_only_the_span_is_played(rows: list[Row], days: list[Event], trained: Trained) -> None:
    span = Span(utc(2026, 3, 2, 9), utc(2026, 3, 4, 12))
    found = beside(rows, trained, BY_DEFAULT, span=span, held_out_from=utc(2026, 3, 3))
    assert found.warm_up_events == sum(span.since <= item.time < utc(2026, 3, 3) for item in days)
    assert found.events == sum(utc(2026, 3, 3) <= item.time < span.until for item in days)


def test_what_can_not_be_decoded_is_left_out(rows: list[Row], trained: Trained, compared: Comparison) -> None:
    broken = [Row("events", 0, -1, 1.9e9, b"{not json"), *rows]
    assert beside(broken, trained, configured(p=P)) == compared


def test_the_card_tells_of_it_and_hostile_names_stay_in_their_cell(trained: Trained, compared: Comparison) -> None:
    assert "Not compared yet" in card_markdown(trained.card)
    hostile = msgspec.structs.replace(compared.alone[0], principal="x|y\n# <script>[bold]")
    found = msgspec.structs.replace(compared, alone=(hostile,))
    text = card_markdown(msgspec.structs.replace(trained.card, comparison=found))
    assert "Not compared yet" not in text
    assert f"| the forest only | {found.forest_only} |" in text
    assert f"{found.notes_a_day:g} a day" in text
    assert "<script>" not in text
    (line,) = [line for line in text.splitlines() if "&lt;script" in line]
    assert line.replace("\\|", "").count("|") == 8


def test_the_answer_tells_what_to_do_next(trained: Trained, compared: Comparison) -> None:
    def notes(least: float, held_out: Comparison = compared) -> str:
        card = msgspec.structs.replace(trained.card, least_p_value=least)
        return " ".join(told(card, held_out, Path("m/forest.skops")).notes)

    assert "set detectors.forest_challenger.model to m/forest.skops" in notes(0.0199)
    assert "would never speak" in notes(0.02)
    assert "set detectors.forest_challenger.model" not in notes(0.02)
    assert "on a later history" in notes(0.001)
    later = msgspec.structs.replace(compared, first=trained.card.last)
    assert "on a later history" not in notes(0.001, later)


def with_card(folder: Path, trained: Trained, comparison: Comparison | None, **changed: Any) -> Path:
    write(folder, msgspec.structs.replace(trained.card, comparison=comparison, **changed), trained.data)
    return folder / MODEL_FILE


def test_a_compared_model_is_used(tmp_path: Path, trained: Trained, compared: Comparison) -> None:
    model = with_card(tmp_path, trained, compared)
    config = configured(model=str(model), p=P)
    challenger = next(each for each in assembly.detectors(config) if isinstance(each, ForestChallenger))
    assert challenger.forest is not None
    assert dumps(challenger.forest) == trained.data
    assert trained_before(model).card.comparison == compared


@pytest.mark.parametrize(
    ("spoil", "p", "why"),
    [
        (lambda folder: (folder / "card.json").unlink(), P, r"card\.json: No such file.*train it again"),
        (lambda folder: (folder / "card.json").write_bytes(b"{half a"), P, "can't be read.*train it again"),
        (lambda folder: (folder / "card.json").write_bytes(b"\xff\xfe"), P, "can't be read.*train it again"),
        (
            lambda folder: (folder / "card.json").write_bytes(b'{"sha256": "\\u001b[2J"}'),
            P,
            "and the card .* is of one",
        ),
        (lambda folder: (folder / MODEL_FILE).unlink(), P, r"forest\.skops: No such file.*detector train"),
        (
            lambda _: None,
            0.03,
            r"only with `p` up to 0\.02, and not with 0\.03.*detector train --compare .*forest\.skops",
        ),
    ],
    ids=["no card", "half a card", "no text", "of another", "no model", "too great a p"],
)
def test_a_model_that_was_not_compared_like_this_is_refused(
    spoil: Any, p: float, why: str, tmp_path: Path, trained: Trained, compared: Comparison
) -> None:
    model = with_card(tmp_path, trained, compared)
    spoil(tmp_path)
    with pytest.raises(ModelError, match=why) as refused:
        assembly.detectors(configured(model=str(model), p=p))
    assert str(refused.value).isprintable()
    assert assembly.detectors(configured(model=str(model), p=p, enabled=False)), "what is off is not looked at"


def test_a_model_that_was_never_compared_is_refused_and_so_is_one_with_another_hash(
    tmp_path: Path, trained: Trained, compared: Comparison
) -> None:
    model = with_card(tmp_path / "a", trained, None)
    with pytest.raises(ModelError, match=r"never compared with the running detectors.*detector train --compare"):
        assembly.challenger(configured(model=str(model)))
    assert trained_before(model).card == trained.card
    model = with_card(tmp_path / "b", trained, compared, sha256="0" * 64)
    for read in (lambda: assembly.challenger(configured(model=str(model))), lambda: trained_before(model)):
        with pytest.raises(ModelError, match=r"has the SHA-256 .*, and the card .* is of one with 0000000000000000"):
            read()
    (tmp_path / "a" / "card.json").write_text(f'{{"sha256": "{trained.card.sha256}"}}')
    with pytest.raises(ModelError, match=r"not of this version.*train it again"):
        trained_before(tmp_path / "a" / MODEL_FILE)


def test_a_write_that_fails_leaves_all_as_it_was(
    tmp_path: Path, trained: Trained, compared: Comparison, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_card(tmp_path, trained, None)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert before.keys() == {MODEL_FILE, "card.json", "card.md"}
    write_bytes = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if path.name.startswith(MODEL_FILE):
            write_bytes(path, data[:100])
            raise OSError(28, "No space left on device")
        return write_bytes(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        with_card(tmp_path, trained, compared)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.fixture(scope="module")
def log(rows: list[Row], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The days as a file."""
    path = tmp_path_factory.mktemp("log") / "days.ndjson"
    path.write_bytes(b"\n".join(row.raw for row in rows))
    return path


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_command_trains_compares_and_compares_again(log: Path, tmp_path: Path) -> None:
    config, out = tmp_path / "detector.yaml", tmp_path / "model"
    config.write_text(f"detectors: {{forest_challenger: {{model: {out / MODEL_FILE}, p: 0.02}}}}", encoding="utf-8")
    done = invoke("train", log, "--out", out, "--config", config)
    assert done.exit_code == 0, done.output
    assert "Hours of principals, by who flags them" in done.stdout
    assert "What the challenger would note, by the value of p" in done.stdout
    first = files(out)
    card = msgspec.json.decode(first["card.json"], type=Card)
    assert card.sources == ("file:days.ndjson",)
    assert card.comparison is not None
    assert card.comparison.p == 0.02
    assert invoke("check", "--config", config).exit_code == 0
    bare = msgspec.json.encode(msgspec.structs.replace(card, comparison=None))
    (out / "card.json").write_bytes(bare)
    refused = invoke("check", "--config", config)
    assert isinstance(refused.exception, ModelError)
    assert "--compare" in str(refused.exception)
    assert refused.stdout == ""
    done = invoke("train", log, "--compare", out / MODEL_FILE, "--config", config, "--quiet")
    assert (done.exit_code, done.stdout) == (0, ""), done.output
    assert files(out) == first, "the same history gives the same bytes"


def test_a_span_holds_for_training_and_comparison(log: Path, days: list[Event], tmp_path: Path) -> None:
    done = invoke("train", log, "--out", tmp_path, "--from", "2026-03-02T10:30", "--to", "2026-03-04T10:30", "-q")
    assert done.exit_code == 0, done.output
    card = msgspec.json.decode((tmp_path / "card.json").read_bytes(), type=Card)
    begins, ends = utc(2026, 3, 2, 10), utc(2026, 3, 4, 11)
    assert (card.first, card.last) == (begins, ends)
    assert card.comparison is not None
    played = card.comparison.events + card.comparison.warm_up_events
    assert played == sum(begins <= item.time < ends for item in days)


@pytest.mark.parametrize(
    ("owner", "name"),
    [(training, "_collect"), (training, "_card"), (Beside, "take")],
    ids=["reading", "growing", "comparing"],
)
def test_ctrl_c_leaves_nothing_behind(
    owner: Any, name: str, log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = getattr(owner, name)

    def pressed(*arguments: Any, **named: Any) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        return work(*arguments, **named)

    monkeypatch.setattr(owner, name, pressed)
    done = invoke("train", log, "--out", tmp_path / "model")
    assert done.exit_code == 130
    assert "interrupted: nothing was written" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_while_it_is_written_waits_for_the_end(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bytes = Path.write_bytes

    def pressed(path: Path, data: bytes) -> int:
        if path.name.startswith(MODEL_FILE):
            os.kill(os.getpid(), signal.SIGINT)
        return write_bytes(path, data)

    monkeypatch.setattr(Path, "write_bytes", pressed)
    assert invoke("train", log, "--out", tmp_path, "-q").exit_code == 0
    assert files(tmp_path).keys() == {MODEL_FILE, "card.json", "card.md"}


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["-"], "standard input can't be"),
        (["--compare", "nowhere.skops"], "nowhere.skops: No such file"),
        (["--from", "2026-03-05", "--to", "2026-03-04"], "ends"),
        (["--store", "chdb://./x"], "leave out --store"),
    ],
)
def test_what_can_not_be_done_is_refused(arguments: list[str], why: str, log: Path, tmp_path: Path) -> None:
    done = invoke("train", *([] if "-" in arguments else [log]), *arguments, "--out", tmp_path / "model")
    assert done.exit_code != 0
    assert why in " ".join(f"{done.stderr} {done.exception}".split())
    assert list(tmp_path.iterdir()) == []


def test_a_history_with_nothing_to_compare_is_refused(log: Path, trained: Trained, tmp_path: Path) -> None:
    model = with_card(tmp_path, trained, None, held_out_from=utc(2026, 4, 1))
    before = files(tmp_path)
    done = invoke("train", log, "--compare", model)
    assert "only what comes after 2026-04-01 00:00" in str(done.exception)
    assert files(tmp_path) == before


@pytest.mark.parametrize(
    ("order", "refused"),
    [
        ({"settings": {"p": 0.02}, "detectors": ["forest_challenger"]}, False),
        ({"settings": {"p": 0.05}, "detectors": ["forest_challenger"]}, True),
        ({"threshold": 1.0}, True),
        ({"threshold": 1.0, "detectors": ["behaviour"]}, False),
    ],
)
def test_an_override_makes_the_challenger_no_louder_than_it_was_compared(
    order: dict[str, Any], refused: bool, tmp_path: Path, trained: Trained, compared: Comparison
) -> None:
    model = with_card(tmp_path, trained, compared)
    scope = {"name": "o", "reason": "r", "principals": ["a-*"], **order}
    config = configured(model=str(model), p=0.001).model_copy(update={"overrides": (Override(**scope),)})
    if refused:
        with pytest.raises(ModelError, match=r"only with `p` up to 0\.02, and not with 0\.(05|1)"):
            assembly.challenger(config)
        assert (
            max(level.p for level in Beside(config, trained.forest, trained.card.held_out_from).result().levels) >= 0.05
        )
    else:
        assert assembly.challenger(config) is not None


def test_a_model_that_is_replaced_while_it_is_read_is_refused(
    tmp_path: Path, trained: Trained, compared: Comparison
) -> None:
    config = configured(model=str(with_card(tmp_path, trained, compared)), p=P)
    assert assembly.challenger(with_digests(config)) is not None
    with pytest.raises(ModelError, match="replaced while it was read"):
        assembly.challenger(config.with_files({MODEL_SETTING: "0" * 64}))
