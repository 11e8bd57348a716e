"""The forest: scikit-learn's scores to the last bits, honest ranks, and a file that can't do harm."""

import io
import json
import math
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from numpy.typing import NDArray
from sklearn.ensemble import IsolationForest

from detector.model_file import FORMAT, ModelError, dumps, loads, read
from models.forest import TAIL_MOST, Forest, ForestParams, Nodes

NAMES = ("acts", "bytes", "hosts", "constant")


def rows(count: int, seed: int = 1) -> NDArray[np.float64]:
    drawn = np.random.default_rng(seed).beta(2.0, 8.0, (count, len(NAMES)))
    drawn[:, -1] = 0.5
    return drawn


@pytest.fixture(scope="module")
def forest() -> Forest:
    return Forest.fit(rows(2_000), NAMES, ForestParams(seed=3, trees=40)).calibrate(rows(999, seed=2))


@pytest.mark.parametrize(("count", "params"), [
    (2_000, ForestParams(seed=3)),
    (2_000, ForestParams(trees=7, sample=64, contamination=0.1, seed=4)),
    (20, ForestParams(trees=5)),
    (2, ForestParams(trees=3)),
])  # fmt: skip
def test_scores_are_those_of_scikit_learn(count: int, params: ForestParams) -> None:
    seen, unseen = rows(count), rows(500, seed=9) * 3.0 - 0.5
    theirs = IsolationForest(
        n_estimators=params.trees,
        max_samples=min(params.sample, count),
        contamination=params.contamination,
        random_state=params.seed,
    ).fit(seen)
    ours = Forest.fit(seen, NAMES, params)
    expected = -theirs.score_samples(unseen)
    assert ours.scores(unseen) == pytest.approx(expected, abs=1e-12)
    assert [ours.score_one(row) for row in unseen.tolist()] == pytest.approx(expected, abs=1e-12)
    assert ours.threshold == pytest.approx(-theirs.offset_, abs=1e-12)


def test_a_value_on_a_cut_goes_the_way_it_does_in_scikit_learn() -> None:
    seen = np.round(rows(1_000), 2)
    theirs = IsolationForest(n_estimators=50, max_samples=256, random_state=0).fit(seen)
    ours = Forest.fit(seen, NAMES, ForestParams(trees=50))
    cuts = np.unique([t for tree in theirs.estimators_ for t in tree.tree_.threshold if t > 0])
    on_them = np.repeat(cuts[:, None], len(NAMES), axis=1)
    assert ours.scores(on_them) == pytest.approx(-theirs.score_samples(on_them), abs=1e-12)


def test_same_rows_and_seed_same_forest_and_another_seed_another() -> None:
    grown = [Forest.fit(rows(600), NAMES, ForestParams(trees=10, seed=seed)).snapshot() for seed in (1, 1, 2)]
    assert grown[0] == grown[1]
    assert grown[0] != grown[2]


def test_the_p_value_is_the_rank_among_the_held_out(forest: Forest) -> None:
    held_out = sorted(forest.scores(rows(999, seed=2)))
    assert forest.held_out == 999
    assert forest.p_value(held_out[-1] + 1e-9) == 1 / 1000
    assert forest.p_value(held_out[-1]) == 2 / 1000
    assert forest.p_value(held_out[-100]) == 101 / 1000
    assert forest.p_value(0.0) == 1.0


def test_p_values_are_honest_on_days_like_the_held_out_ones(forest: Forest) -> None:
    fresh = [forest.p_value(score) for score in forest.scores(rows(20_000, seed=5))]
    for alpha in (0.1, 0.01):
        assert alpha / 2 < np.mean(np.array(fresh) <= alpha) < alpha * 2


def test_only_the_tail_is_kept_of_many_held_out_rows() -> None:
    forest = Forest.fit(rows(600), NAMES, ForestParams(trees=5)).calibrate(rows(TAIL_MOST * 2, seed=2))
    scores = np.sort(forest.scores(rows(TAIL_MOST * 2, seed=2)))
    assert forest.p_value(scores[-1] + 1e-9) == 1 / (2 * TAIL_MOST + 1)
    assert forest.p_value(scores[-TAIL_MOST] - 1e-9) == 1.0
    ties_and_higher = int((scores >= scores[-50]).sum())
    assert forest.p_value(scores[-50]) == (1 + ties_and_higher) / (2 * TAIL_MOST + 1)


def test_without_held_out_rows_nothing_is_strange() -> None:
    assert Forest.fit(rows(600), NAMES, ForestParams(trees=5)).p_value(0.99) == 1.0


def test_what_stands_out_is_named_with_its_usual_span(forest: Forest) -> None:
    usual = [0.2, 0.2, 0.2, 0.5]
    standing = forest.standing_out([0.2, 0.95, 0.2, 0.5])
    assert [s.name for s in standing] == ["bytes"]
    assert standing[0].low < 0.2 < standing[0].high < standing[0].value == 0.95
    assert standing[0].weight > 0.1
    assert forest.standing_out(usual) == []
    assert len(forest.standing_out([0.95, 0.95, 0.95, 0.5], most=2)) == 2


def test_a_matrix_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="4 columns"):
        Forest.fit(np.zeros((10, 3)), NAMES)
    for useless in (np.full((10, 4), math.nan), np.full((10, 4), math.inf), np.zeros((0, 4))):
        with pytest.raises(ValueError, match="not finite"):
            Forest.fit(useless, NAMES)


def spoil(change: Callable[[list[Any]], object]) -> Callable[[Forest], list[Any]]:
    def spoiled(forest: Forest) -> list[Any]:
        state: list[Any] = json.loads(json.dumps(forest.snapshot()))
        change(state)
        return state

    return spoiled


FIELD = {name: place for place, name in enumerate(Nodes.__struct_fields__)}


def node(field: str, value: float) -> Callable[[list[Any]], object]:
    """Give the first node of the first tree (a cut) another value."""
    return lambda state: state[6][FIELD[field]].__setitem__(0, value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (node("left", 0), "node 0 leads nowhere"),
        (node("left", -5), "node 0 leads nowhere"),
        (node("right", 10**6), "node 0 leads nowhere"),
        (node("feature", len(NAMES)), "node 0 leads nowhere"),
        (node("feature", -2), "node 0 leads nowhere"),
        (node("roots", 10**6), "a root"),
        (node("length", math.inf), "not a number"),
        (lambda state: state[6][0].clear(), "a root"),
        (lambda state: state[6][FIELD["left"]].pop(), "differ in length"),
        (lambda state: state.__setitem__(3, 0.0), "make no sense"),
        (lambda state: state.__setitem__(3, math.nan), "not finite"),
        (lambda state: state.__setitem__(2, 5), "make no sense"),
        (lambda state: state[5].reverse(), "make no sense"),
        (lambda state: state[4].pop(), "3 ranges for 4"),
        (lambda state: state[0].reverse(), "it looks at constant"),
        (lambda state: state.pop(), "another shape"),
        (lambda state: state.__setitem__(1, "no"), "another shape"),
    ],
)
def test_a_state_that_does_not_fit_together_is_refused(
    forest: Forest, change: Callable[[list[Any]], object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Forest(NAMES).restore(spoil(change)(forest))


def test_a_file_gives_back_the_forest_and_the_same_bytes(forest: Forest) -> None:
    data = dumps(forest)
    assert dumps(forest) == data
    restored = loads(data, NAMES)
    assert restored.snapshot() == forest.snapshot()
    assert dumps(restored) == data


def test_skops_itself_finds_nothing_in_it_that_needs_trust(forest: Forest) -> None:
    assert skops.io.get_untrusted_types(data=dumps(forest)) == []


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (IsolationForest(n_estimators=2, random_state=0).fit(rows(20)), "sklearn.tree._tree.Tree"),
        ({"format": FORMAT, "names": np.random.RandomState(0)}, "numpy.random"),
        ({"format": FORMAT, "names": {1, 2}}, "builtins.set"),
        ({"format": FORMAT, "names": np.bytes_(b"x")}, "numpy.bytes_"),
        ({"format": FORMAT, "names": print}, "print"),
    ],
    ids=["estimator", "generator", "set", "bytes", "function"],
)
def test_anything_but_arrays_numbers_and_names_is_refused_by_name(content: object, names: str) -> None:
    with pytest.raises(ModelError, match=names) as refused:
        loads(skops.io.dumps(content), NAMES)
    assert "no place in a forest" in str(refused.value)


def rewritten(data: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    """The archive with another schema, whole in itself."""
    with zipfile.ZipFile(io.BytesIO(data)) as old:
        members = {name: old.read(name) for name in old.namelist()}
    schema = json.loads(members["schema.json"])
    change(schema)
    members["schema.json"] = json.dumps(schema).encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as new:
        for name, content in members.items():
            new.writestr(name, content)
    return out.getvalue()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda schema: schema.__setitem__("protocol", 0), "protocol 0"),
        (lambda schema: schema["content"].pop("names"), "damaged"),
        (lambda schema: schema["content"]["format"].__setitem__("content", "2"), "format 2"),
        (lambda schema: schema["content"].__setitem__("tail", schema["content"]["names"]), "damaged"),
        (lambda schema: schema["content"]["tail"].__setitem__("file", "none.npy"), "damaged"),
        (lambda schema: schema["content"]["tail"].__setitem__("__loader__", "FunctionNode"), "FunctionNode"),
        (lambda schema: schema["content"]["tail"].__setitem__("__class__", "memmap"), "numpy.memmap"),
    ],
)
def test_a_schema_that_was_changed_is_refused(
    forest: Forest, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    data = dumps(forest)
    assert loads(rewritten(data, lambda _: None), NAMES).names == NAMES
    with pytest.raises(ModelError, match=message):
        loads(rewritten(data, change), NAMES)


@pytest.mark.parametrize("cut", [0, 10, 1_000, -1])
def test_a_file_cut_short_is_refused(forest: Forest, cut: int) -> None:
    with pytest.raises(ModelError, match="train it again"):
        loads(dumps(forest)[:cut], NAMES)


def test_a_file_that_unpacks_to_too_much_is_refused_before_it_is() -> None:
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", b" " * (65 * 1024 * 1024))
    with pytest.raises(ModelError, match="unpacks to more"):
        loads(bomb.getvalue(), NAMES)


def test_a_file_is_named_when_it_can_not_be_used(tmp_path: Path, forest: Forest) -> None:
    path = tmp_path / "forest.skops"
    with pytest.raises(ModelError, match=r"forest\.skops.*No such file.*detector train"):
        read(path, NAMES)
    path.write_bytes(dumps(forest))
    assert read(path, NAMES).held_out == 999
    with pytest.raises(ModelError, match=r"forest\.skops.*it looks at acts.*not at others"):
        read(path, ("others",))
