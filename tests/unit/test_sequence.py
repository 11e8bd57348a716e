"""Surprise of the next action: habits, peers, runs; counts that add up in any order."""

import random
from collections.abc import Sequence as Listed
from statistics import fmean

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from models.sequence import ActionCounts, ActionPrior, Sequence, SequenceParams

ROUTINE = ["search", "read", "reply"]
NOTHING = ActionPrior(ActionCounts())
ACTIONS = st.lists(st.sampled_from("abcd"), max_size=60)


def take(habits: Sequence, actions: Listed[str], prior: ActionPrior = NOTHING) -> list[float]:
    """Score and learn; the surprises."""
    scores = []
    for action in actions:
        scores.append(habits.score_one(action, prior.probability(habits.contexts, action)))
        habits.learn_one(action, scores[-1])
    return scores


def gathered(streams: Listed[Listed[str]], capacity: int = 2048) -> ActionCounts:
    """What so many principals of a group add up."""
    counts = ActionCounts(capacity)
    for stream in streams:
        habits = Sequence()
        for action in stream:
            context = habits.learn_one(action, 0.0)
            if context is not None:
                counts.add(context, action)
    return counts


def walk(rng: random.Random, steps: int, follow: dict[str, dict[str, float]]) -> list[str]:
    """A random walk over actions."""
    actions = [min(follow)]
    while len(actions) < steps:
        weights = follow[actions[-1]]
        actions.append(rng.choices(list(weights), list(weights.values()))[0])
    return actions


def test_a_routine_is_no_surprise_and_what_it_never_held_is_one() -> None:
    habits, prior = Sequence(), ActionPrior(gathered([ROUTINE * 100] * 3))
    scores = take(habits, ROUTINE * 300, prior)
    assert max(scores[3:]) < 1
    known = habits.score_one("read", prior.probability(habits.contexts, "read"))
    never = habits.score_one("delete", prior.probability(habits.contexts, "delete"))
    assert never > 3
    assert 1 < known < never


def test_with_no_history_anywhere_nothing_is_strange() -> None:
    habits = Sequence()
    assert habits.score_one("delete") == 0
    assert max(take(habits, [f"page-{n}" for n in range(2000)])) < 0.5


def test_a_newcomer_is_judged_by_its_role_and_a_new_role_by_the_fleet() -> None:
    role, others = gathered([ROUTINE * 20] * 12), gathered([["open", "close"] * 20] * 12)
    fleet = ActionCounts()
    for counts in (role, others):
        fleet.merge(counts, once=True)
    everyone = ActionPrior(fleet)
    prior, unknown_role = ActionPrior(role, everyone), ActionPrior(ActionCounts(), everyone)
    new = Sequence()
    usual, known_elsewhere, never = (
        new.score_one(action, prior.probability(new.contexts, action)) for action in ("search", "open", "delete")
    )
    assert usual < 0.5
    assert 1 < known_elsewhere < never
    of_the_fleet = [
        new.score_one(action, unknown_role.probability(new.contexts, action)) for action in ("search", "open", "delete")
    ]
    assert max(of_the_fleet[:2]) < of_the_fleet[2] < never
    assert {count for _, actions in fleet.snapshot() for count in actions.values()} == {1}


def test_old_habits_fade_and_new_ones_are_learnt() -> None:
    habits = Sequence(SequenceParams(memory=64))
    take(habits, ROUTINE * 500)
    changed = take(habits, ["open", "close"] * 100)
    assert changed[0] > 2
    assert fmean(changed[-100:]) < 0.1
    before = habits.score_one("read")
    take(habits, ["open", "close"] * 2000)
    assert habits.score_one("read") > before
    assert max(total for _, total, _, _ in habits.snapshot()[2]) < 64


def test_a_flagged_action_is_no_habit_but_the_next_one_follows_it() -> None:
    habits, other = Sequence(), Sequence()
    for known in (habits, other):
        take(known, ROUTINE * 100)
    for _ in range(50):
        for action in ("dump", "send"):
            assert habits.learn_one(action, 3.0, flagged=True) is None
    assert habits.score_one("dump") > 2
    assert habits.contexts[-1] == "\ndump\nsend"
    assert habits.recent > 2.5
    habits.reset()
    other.reset()
    assert habits.score_one("search") == other.score_one("search")


def test_a_run_of_mildly_odd_steps_shows_before_any_single_step_does() -> None:
    """At one step in a thousand each: what a run adds to the single surprise."""
    rng, names, alone, together = random.Random(4), [f"act-{n}" for n in range(12)], 0, 0
    for _ in range(8):
        follow = {a: {b: rng.gammavariate(0.3, 1.0) + 1e-3 for b in names} for a in names}
        prior = ActionPrior(gathered([walk(rng, 500, follow) for _ in range(8)]))
        habits, single, run = Sequence(), [], []
        for action in walk(rng, 3000, follow):
            single += take(habits, [action], prior)
            run.append(habits.recent)
        for _ in range(10):
            taken = Sequence().restore(habits.snapshot())
            alone_here = together_here = False
            for action in rng.choices(names, k=12):  # known actions, in no order
                surprise = take(taken, [action], prior)[0]
                alone_here |= surprise > sorted(single)[-4]
                together_here |= taken.recent > sorted(run)[-4]
            alone, together = alone + alone_here, together + together_here
    assert together > 60
    assert alone < together / 2


def test_one_principal_in_a_loop_does_not_speak_for_its_role() -> None:
    loop, others = gathered([["ping"] * 50_000]), gathered([ROUTINE * 50] * 10)
    assert sum(sum(actions.values()) for _, actions in loop.snapshot()) < 150
    both = gathered([["ping"] * 50_000, *[ROUTINE * 50] * 10])
    contexts = ("", "\nsearch", "\nreply\nsearch")
    alone, crowded = (ActionPrior(counts).probability(contexts, "read") for counts in (others, both))
    assert crowded > 0.9 * alone


@given(st.lists(ACTIONS, max_size=6), st.integers(0, 6), st.randoms(use_true_random=False))
def test_counts_add_up_in_any_order(streams: list[list[str]], cut: int, rng: random.Random) -> None:
    whole = gathered(streams)
    parts = [gathered([stream]) for stream in streams]
    rng.shuffle(parts)
    left, right = ActionCounts(), ActionCounts()
    for part in parts[:cut]:
        left.merge(part)
    for part in parts[cut:]:
        right.merge(ActionCounts().restore(msgspec.json.decode(msgspec.json.encode(part.snapshot()))))
    right.merge(left)
    assert right.snapshot() == whole.snapshot()


def test_past_its_capacity_the_most_frequent_stay_in_whatever_order_they_came() -> None:
    rng, pairs = random.Random(1), [(f"\n\na-{n}", f"b-{m}") for n in range(12) for m in range(n + 1)]
    kept = []
    for _ in range(2):
        rng.shuffle(pairs)
        one, two = ActionCounts(60), ActionCounts()
        for context, action in pairs:
            for _ in range(40 if action == "b-0" else 1):
                two.add(context, action)
        one.merge(two)
        kept.append(one.snapshot())
    assert kept[0] == kept[1]
    assert sum(len(actions) for _, actions in kept[0]) == 45
    assert all("b-0" in actions for _, actions in kept[0])
    assert len(kept[0]) == 12


@given(st.lists(st.sampled_from("abcdefgh"), max_size=300), st.sampled_from("abcxyz"))
def test_probabilities_are_probabilities(actions: list[str], action: str) -> None:
    habits, prior = Sequence(SequenceParams(memory=16, capacity=30)), ActionPrior(gathered([actions[::2]]))
    take(habits, actions, prior)
    p = habits.probability(action, prior.probability(habits.contexts, action))
    never = habits.probability("never", prior.probability(habits.contexts, "never"))
    assert 0 < never <= p <= 1 + 1e-12
    assert sum(len(row[3]) for row in habits.snapshot()[2]) <= 30


def test_what_principals_have_in_common_is_held_once() -> None:
    """The names of actions and contexts: otherwise each of a hundred thousand has its own."""
    some = [Sequence() for _ in range(2)]
    for habits in some:
        take(habits, [f"{verb} {habits.recent}" for verb in ("search", "read")] * 3)
    some.append(Sequence().restore(msgspec.json.decode(msgspec.json.encode(some[0].snapshot()))))
    for habits in some[1:]:
        assert habits.contexts is some[0].contexts
        for one, other in zip(habits.snapshot()[2], some[0].snapshot()[2], strict=True):
            assert one == other
            assert one[0] is other[0]
            assert all(mine is theirs for mine, theirs in zip(one[3], other[3], strict=True))
