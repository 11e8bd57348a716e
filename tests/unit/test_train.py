"""Training on a history: the numbers of the live service, the same bytes each time, refusals that say what to do."""

import gzip
from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pytest

from detector.activity import NAMES, Activity, milestone
from detector.decoding import Decoder
from detector.detectors.forest_challenger import ForestChallenger
from detector.events import Actor, Event
from detector.model_file import read
from detector.scoring import Scoring
from detector.sources.base import Record
from detector.sources.files import FileSource
from detector.train import TrainError, history, training
from detector.train.card import Card, card_markdown
from detector.train.features import EVENT_COLUMNS, KEYS, snapshots
from detector.train.history import from_records
from detector.train.training import MODEL_FILE, Trained, train, write
from models.forest import ForestParams
from tests.support.events import envelope, event
from tests.support.simulator.background import background
from tests.support.simulator.rhythm import Period
from tests.support.simulator.trail import utc
from tests.support.simulator.world import Population, build_world

SMALL = ForestParams(trees=20, seed=5)
Key = tuple[str, int, int]


@pytest.fixture(scope="module")
def week() -> list[Event]:
    """What twenty principals do in five days."""
    return background(build_world(4, Population.of(20)), Period(utc(2026, 3, 2), utc(2026, 3, 7)))


def records(events: Iterable[Event]) -> Iterator[Record]:
    for offset, item in enumerate(events):
        yield Record("events", 0, offset, None, msgspec.json.encode(item), item.time.timestamp())


def frames(events: Iterable[Event]) -> list[pd.DataFrame]:
    return list(from_records(records(events), Decoder("native")))


def online(events: Iterable[Event]) -> dict[Key, list[float]]:
    """The vectors that the service would judge, by principal, hour and count of acts."""
    activities: dict[str, Activity] = {}
    found: dict[Key, list[float]] = {}
    for item in events:
        activity = activities.setdefault(item.principal, Activity())
        before = activity.events, activity.hour
        activity.add(item, item.time.timestamp())
        if milestone(activity.events) and before != (activity.events, activity.hour):
            found[item.principal, activity.hour, activity.events] = activity.vector()
    return found


def offline(parts: Iterable[pd.DataFrame]) -> dict[Key, list[float]]:
    found: dict[Key, list[float]] = {}
    for part in map(snapshots, parts):
        assert list(part.columns) == [*KEYS, *NAMES]
        for principal, _, hour, acts, *vector in part.itertuples(index=False):
            assert (principal, hour, acts) not in found
            found[principal, hour, acts] = list(vector)
    return found


def written(trained: Trained, folder: Path) -> Path:
    write(folder, trained.card, trained.data)
    return folder / MODEL_FILE


def same(some: dict[Key, list[float]], others: dict[Key, list[float]]) -> None:
    assert some.keys() == others.keys()
    assert np.array([some[key] for key in some]) == pytest.approx(np.array([others[key] for key in some]), abs=1e-12)


def test_the_frame_gives_the_numbers_of_the_live_service(week: list[Event]) -> None:
    live = online(week)
    assert len(live) > 1_000
    assert (np.ptp(np.array(list(live.values())), axis=0) > 0).sum() >= len(NAMES) - 2
    same(offline(frames(week)), live)


def test_late_and_busy_hours_give_the_same_numbers_too() -> None:
    """Five hours of one principal's acts, some of them out of order, some of them of an hour that is over."""
    rng = np.random.default_rng(3)
    seconds = np.sort(rng.uniform(0, 5 * 3600, 600)) + rng.normal(0, 400, 600)
    acts = [event(float(s), id=f"e{i}", action=f"a{i % 90}", bytes_out=i * 10**6) for i, s in enumerate(seconds)]
    assert any(a.time.hour > b.time.hour for a, b in pairwise(acts))
    same(offline(frames(acts)), online(acts))


def test_however_the_history_is_cut_the_vectors_are_the_same(
    week: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = offline(frames(week))
    monkeypatch.setattr(history, "ROWS", 300)
    cut = frames(week)
    assert len(cut) > 5
    assert max(map(len, cut)) <= 301
    same(offline(cut), whole)


def test_one_hour_that_fills_a_frame_is_cut_in_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "ROWS", 100)
    cut = frames(event(i / 10, id=f"e{i}") for i in range(250))
    assert [len(part) for part in cut] == [100, 100, 50]


def test_repeats_orders_and_what_can_not_be_read_are_left_out() -> None:
    order = event(1, kind="control", action="stop", target={"uri": "agent-1"})
    bad = Record("events", 0, 9, None, b"{not json", 0.0)
    given = [*records([event(0), event(0), order, event(2)]), bad]
    (frame,) = from_records(given, Decoder("native"))
    assert list(frame.columns) == list(EVENT_COLUMNS)
    assert len(frame) == 2


def test_progress_is_told() -> None:
    told = []
    list(from_records(records(event(i) for i in range(250)), Decoder("native"), lambda: told.append(1)))
    assert len(told) == 4


def test_the_same_history_and_seed_give_the_same_bytes(week: list[Event], tmp_path: Path) -> None:
    for name in ("one", "two"):
        written(train(frames(week), ["week"], SMALL), tmp_path / name)
    written(train(frames(week), ["week"], msgspec.structs.replace(SMALL, seed=6)), tmp_path / "other")
    one, two, other = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("one", "two", "other")
    )
    assert one.keys() == {MODEL_FILE, "card.json", "card.md"}
    assert one == two
    assert one[MODEL_FILE] != other[MODEL_FILE]


def test_the_order_of_principals_in_the_history_makes_no_difference(week: list[Event]) -> None:
    by_principal = sorted(week, key=lambda item: item.principal)
    digests = {train(frames(e), ["week"], SMALL).card.sha256 for e in (week, by_principal)}
    assert len(digests) == 1


def test_the_card_tells_what_the_forest_stands_on(week: list[Event], tmp_path: Path) -> None:
    trained = train(frames(week), ["week"], SMALL)
    written(trained, tmp_path)
    card = msgspec.json.decode((tmp_path / "card.json").read_bytes(), type=Card)
    assert card == trained.card
    vectors = online(week)
    assert card.training_vectors + card.held_out_vectors == len(vectors)
    assert card.principal_hours == len({key[:2] for key in vectors})
    assert card.principals == len({key[0] for key in vectors}) == sum(card.roles.values())
    assert card.held_out_vectors / len(vectors) == pytest.approx(0.2, abs=0.05)
    assert card.first <= min(e.time for e in week) < card.held_out_from < max(e.time for e in week) <= card.last
    assert [f.name for f in card.features] == list(NAMES)
    assert (card.seed, card.trees, card.contamination, card.kept) == (5, 20, 0.001, 1)
    assert card.least_p_value == 1 / (1 + card.held_out_vectors)
    assert card.versions.keys() == {"detector", "python", "scikit-learn", "skops", "numpy", "pandas"}
    scores = [row.score for row in card.strangest]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == card.held_out_scores["most"]
    assert all(row.hour >= card.held_out_from for row in card.strangest)
    assert all(row.reasons for row in card.strangest)


def test_the_model_scores_held_out_hours_as_the_card_says(week: list[Event], tmp_path: Path) -> None:
    trained = train(frames(week), ["week"], SMALL)
    forest, vectors = read(written(trained, tmp_path), NAMES), online(week)
    for row in trained.card.strangest:
        vector = vectors[row.principal, int(row.hour.timestamp() // 3600), row.acts]
        assert forest.score_one(vector) == pytest.approx(row.score, abs=1e-6)
        assert forest.p_value(forest.score_one(vector)) == pytest.approx(row.p_value, abs=1e-6)


def test_a_trained_model_notes_a_leak_and_few_quiet_hours(week: list[Event], tmp_path: Path) -> None:
    model = written(train(frames(week), ["week"], ForestParams()), tmp_path)
    detector = ForestChallenger(ForestChallenger.Settings(p=0.01), read(model, NAMES))
    scoring = Scoring([detector])
    scoring.open(("events", 0))
    quiet = [f for e in week for f in scoring.step(envelope(e)).findings]
    assert len(quiet) < len(online(week)) * 0.01 * 2
    agent = next(e.actor for e in week if e.actor.kind == "agent")
    begin = week[-1].time + timedelta(hours=30)
    leak = [
        event(0, id=f"leak-{i}", kind="transfer", actor=agent, bytes_out=400_000_000, records=9_000, action="put",
              target={"uri": f"db://t{i}", "sensitivity": "restricted"},
              destination={"host": f"drop-{i}.example", "zone": "external"})
        for i in range(64)
    ]  # fmt: skip
    leak = [msgspec.structs.replace(e, time=begin + timedelta(seconds=5 * i)) for i, e in enumerate(leak)]
    noted = [f for e in leak for f in scoring.step(envelope(msgspec.convert(msgspec.to_builtins(e), Event))).findings]
    assert [f.rule for f in noted] == ["unlike_history"]
    assert "outside" in noted[0].reason


def test_a_history_too_long_is_thinned_by_whole_hours(week: list[Event], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "ROWS_MOST", 1_200)
    vectors = online(week)
    card = train(frames(week), ["week"], SMALL).card
    assert card.kept > 1
    assert card.training_vectors + card.held_out_vectors <= 1_200
    assert card.principal_hours == pytest.approx(len({key[:2] for key in vectors}) / card.kept, rel=0.2)


@pytest.mark.parametrize(
    ("events", "remedy"),
    [
        ([], "the history is empty: give files"),
        ([event(60 * i, id=f"e{i}") for i in range(300)], "holds 5 hours of principals, and at least 200"),
        (
            [event(i, id=f"e{i}", actor=Actor(id=f"agent-{i}")) for i in range(300)],
            "nearly all of the history is of one hour",
        ),
        ([event(3600 * i, id=f"e{i}") for i in range(300)], "nothing in the history varies but the hour"),
    ],
    ids=["empty", "short", "one hour", "constant"],
)
def test_a_history_that_is_no_ground_is_refused_with_a_remedy(events: list[Event], remedy: str) -> None:
    with pytest.raises(TrainError, match=remedy):
        train(frames(events), ["x"], SMALL)


def test_a_file_is_read_as_replay_reads_it(week: list[Event], tmp_path: Path) -> None:
    path = tmp_path / "week.ndjson.gz"
    path.write_bytes(gzip.compress(msgspec.json.Encoder().encode_lines(week)))
    found = list(from_records(FileSource(path, lambda: 2e9), Decoder("native")))
    same(offline(found), online(week))


def hostile_card(week: list[Event]) -> Trained:
    """The card of a history in which principals' names are made to break out of where they are shown."""
    acts = [item for item in week if item.kind != "control"]
    names = {item.actor.id: f"x|y\n# <script>[bold]`{item.actor.id}" for item in acts}
    actors = [msgspec.structs.replace(item.actor, id=names[item.actor.id]) for item in acts]
    renamed = [msgspec.structs.replace(item, actor=actor) for item, actor in zip(acts, actors, strict=True)]
    return train(frames(renamed), ["week"], SMALL)


def test_names_from_outside_stay_in_their_cell(week: list[Event]) -> None:
    trained = hostile_card(week)
    text = card_markdown(trained.card)
    assert "<script>" not in text
    assert "\n# <" not in text
    rows = [line for line in text.splitlines() if "&lt;script" in line]
    assert rows
    assert all(line.replace("\\|", "").count("|") == 8 for line in rows)
