"""From a history to a forest, its card and their files. The same history and seed give the same bytes."""

import hashlib
import platform
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from detector import VERSION
from detector.activity import CLOCK, FEATURES, HOUR, NAMES
from detector.detectors.forest_challenger import reasons
from detector.model_file import CARD_FILE, ModelError, dumps, read_carded
from detector.train import TrainError
from detector.train.card import STRANGEST, Card, FeatureCard, Strange, card_json, card_markdown
from detector.train.features import snapshots
from models.forest import Forest, ForestParams

MODEL_FILE: Final = "forest.skops"
CARD_MARKDOWN: Final = "card.md"
LEAST_HOURS: Final = 200
ROWS_MOST: Final = 400_000
HELD_OUT: Final = 0.2

_RANKS: Final = {"50 %": 0.5, "90 %": 0.9, "99 %": 0.99, "99.9 %": 0.999, "most": 1.0}
_LIBRARIES: Final = ("scikit-learn", "skops", "numpy", "pandas")


class Trained(msgspec.Struct, frozen=True):
    """What came of a training: the forest, the bytes of its file, and its card."""

    forest: Forest
    data: bytes
    card: Card


def train(frames: Iterable[pd.DataFrame], sources: Sequence[str], params: ForestParams | None = None) -> Trained:
    """Train a forest on all but the last fifth of a history, and measure it on that.

    Args:
        frames: Acts with the columns of `features.EVENT_COLUMNS`, as `history` gives them.
        sources: What the history was read from, for the card.
        params: How the forest is grown.

    Raises:
        TrainError: There is no history, too little of it, or nothing in it varies.
    """
    params = params or ForestParams()
    rows, kept = _collect(frames)
    learnt, held_out = _split(rows)
    matrix = learnt[list(NAMES)].to_numpy()
    if all(np.ptp(matrix[:, i]) == 0.0 for i, name in enumerate(NAMES) if name not in CLOCK):
        raise TrainError("nothing in the history varies but the hour of the day: is it a real one?")
    forest = Forest.fit(matrix, NAMES, params).calibrate(held_out[list(NAMES)].to_numpy())
    data = dumps(forest)
    digest = hashlib.sha256(data).hexdigest()
    card = _card(rows, learnt, held_out, forest, params=params, kept=kept, sources=tuple(sources), sha256=digest)
    return Trained(forest, data, card)


def write(folder: Path, card: Card, data: bytes | None = None) -> None:
    """Write a card, as `card.md` and `card.json`, and its model as `forest.skops` if it is given.

    Raises:
        OSError: The folder can't be made or written; then all that was there is still there.
    """
    bodies = {CARD_MARKDOWN: card_markdown(card).encode(), CARD_FILE: card_json(card)}
    if data is not None:
        bodies[MODEL_FILE] = data
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = {name: folder / f"{name}.tmp" for name in bodies}
    try:
        for name, body in bodies.items():
            unfinished[name].write_bytes(body)
        # A service may read them at any time: each of them is whole, and the model comes last.
        for name, path in unfinished.items():
            path.replace(folder / name)
    finally:
        for path in unfinished.values():
            path.unlink(missing_ok=True)


def trained_before(model: Path) -> Trained:
    """The forest in a file with its card, as it was trained.

    Raises:
        ModelError: One of them can't be read or used, or they don't belong together.
    """
    forest, data, body = read_carded(model, NAMES)
    try:
        return Trained(forest, data, msgspec.json.decode(body, type=Card))
    except msgspec.ValidationError as error:
        raise ModelError(f"the model {model}: its card is not of this version ({error}): train it again") from error


def _collect(frames: Iterable[pd.DataFrame]) -> tuple[pd.DataFrame, int]:
    """The vectors of all frames, and of how many principal's hours one was kept so that they are not too many."""
    parts: list[pd.DataFrame] = []
    kept = 1
    for frame in frames:
        parts.append(_thinned(snapshots(frame), kept))
        while sum(map(len, parts)) > ROWS_MOST:
            kept *= 2
            parts = [_thinned(part, kept) for part in parts]
    if not any(map(len, parts)):
        raise TrainError(
            "the history is empty: give files of events, or a store that `detector run` or "
            "`detector replay --store` has filled, and a span of time that holds some"
        )
    rows = pd.concat(parts, ignore_index=True)
    # In an order of their own, so that it makes no difference how the history was cut.
    return rows.sort_values(["hour", "principal", "acts"], kind="stable", ignore_index=True), kept


def _thinned(rows: pd.DataFrame, kept: int) -> pd.DataFrame:
    """One in `kept` principal's hours, always the same ones."""
    if kept == 1:
        return rows
    draw = pd.util.hash_pandas_object(rows[["principal", "hour"]], index=False)
    return rows[(draw % kept == 0).to_numpy()]


def _split(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows before a full hour and those from it on: the last fifth, about."""
    hours = len(rows[["principal", "hour"]].drop_duplicates())
    if hours < LEAST_HOURS:
        raise TrainError(
            f"the history holds {hours} hours of principals, and at least {LEAST_HOURS} are needed (some weeks of "
            "the whole fleet are better): give more files, or a longer span of time"
        )
    cut = rows["hour"].quantile(1.0 - HELD_OUT, interpolation="higher")
    before = (rows["hour"] < cut).to_numpy()
    if not before.any():
        raise TrainError("nearly all of the history is of one hour, so nothing can be held out: give some days of it")
    return rows[before], rows[~before]


def _card(  # noqa: PLR0913 - what a card tells of, each of it once
    rows: pd.DataFrame,
    learnt: pd.DataFrame,
    held_out: pd.DataFrame,
    forest: Forest,
    *,
    params: ForestParams,
    kept: int,
    sources: tuple[str, ...],
    sha256: str,
) -> Card:
    matrix = held_out[list(NAMES)].to_numpy()
    scores = forest.scores(matrix)
    people = rows[["principal", "role"]].drop_duplicates()
    roles = people.groupby("role")["principal"].nunique()
    return Card(
        sources=sources,
        first=_time(rows["hour"].min()),
        last=_time(rows["hour"].max() + 1),
        held_out_from=_time(held_out["hour"].min()),
        principals=rows["principal"].nunique(),
        roles={str(role): int(count) for role, count in roles.sort_index().items()},
        principal_hours=len(rows[["principal", "hour"]].drop_duplicates()),
        kept=kept,
        training_vectors=len(learnt),
        held_out_vectors=len(held_out),
        features=_features(learnt),
        contamination=params.contamination,
        trees=params.trees,
        sample=min(params.sample, len(learnt)),
        seed=params.seed,
        threshold=round(forest.threshold, 6),
        least_p_value=1.0 / (1 + forest.held_out),
        held_out_scores={name: round(float(np.quantile(scores, rank)), 6) for name, rank in _RANKS.items()},
        strangest=_strangest(held_out, scores, forest),
        sha256=sha256,
        versions={"detector": VERSION, "python": platform.python_version()}
        | {library: version(library) for library in _LIBRARIES},
    )


def _features(learnt: pd.DataFrame) -> tuple[FeatureCard, ...]:
    cards = []
    for feature in FEATURES:
        column = learnt[feature.name].to_numpy()
        low, median, high = (feature.tell(float(value)) for value in np.percentile(column, (5.0, 50.0, 95.0)))
        cards.append(FeatureCard(feature.name, low, median, high, varied=bool(np.ptp(column) > 0.0)))
    return tuple(cards)


def _strangest(held_out: pd.DataFrame, scores: NDArray[np.float64], forest: Forest) -> tuple[Strange, ...]:
    """The strangest principals' hours, each by its strangest vector."""
    ranked = held_out.assign(score=scores).sort_values("score", ascending=False, kind="stable")
    ranked = ranked.drop_duplicates(["principal", "hour"]).head(STRANGEST)
    return tuple(
        Strange(
            principal=str(row["principal"]),
            role=str(row["role"]),
            hour=_time(row["hour"]),
            acts=int(row["acts"]),
            score=round(float(row["score"]), 6),
            p_value=round(forest.p_value(float(row["score"])), 6),
            reasons=reasons(forest, [float(row[name]) for name in NAMES]),
        )
        for row in ranked.to_dict("records")
    )


def _time(hour: int) -> datetime:
    return datetime.fromtimestamp(int(hour) * HOUR, UTC)
