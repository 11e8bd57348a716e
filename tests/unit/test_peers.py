"""Peers' knowledge: sums that can be saved, added up in any order, and drawn on while one's own data are few."""

import random
from collections.abc import Sequence
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.peers import CAPACITY, UNKNOWN_BYTES, UNKNOWN_RECORDS, Group, PeerSummary, Priors, Usage
from models.rate import Prior

BYTES, RECORDS = "bytes:external", "records"
PEAK = "peak"


def learn(group: Group, rng: random.Random, count: int) -> Group:
    """Let some principals do something."""
    group.members += 1
    for _ in range(count):
        group.hours += 1
        channel = rng.choice([BYTES, RECORDS])
        group.add_channel_hour(channel)
        group.add_peak(channel, rng.randrange(3), rng.gauss(10.0, 2.0))
        group.add_use("host", f"host-{rng.randrange(9)}.example")
    return group


def close(one: object, other: object) -> bool:
    """Equal, numbers up to 1e-12 of themselves, whatever the order of keys."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(close(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(close, one, other))
    return one == pytest.approx(other, rel=1e-12, abs=1e-12) if isinstance(one, float) else one == other


@pytest.mark.parametrize("count", [0, 1, 2, 500])
def test_a_restored_group_goes_on_to_the_last_bit(count: int) -> None:
    """Holds river's private state names (`_S`, `_mean`) to the version that is pinned."""
    whole = learn(Group(), random.Random(1), count)
    restored = Group().restore(msgspec.msgpack.decode(msgspec.msgpack.encode(whole.snapshot())))
    assert restored.snapshot() == whole.snapshot()
    for group in (whole, restored):
        learn(group, random.Random(2), 50)
        group.merge(learn(Group(), random.Random(3), 20))
    assert restored.snapshot() == whole.snapshot()


def test_moments_are_those_of_the_numbers() -> None:
    """The control of the test above: what is saved is n, mean and the sum of squared differences."""
    group = Group()
    for number in (1.0, 2.0, 6.0):
        group.add_peak(PEAK, 0, number)
    assert group.snapshot()[3] == {PEAK: [[3.0, pytest.approx(3.0), pytest.approx(14.0)]]}


def test_a_snapshot_does_not_change_with_its_group() -> None:
    group = learn(Group(), random.Random(1), 10)
    saved = group.snapshot()
    before = msgspec.msgpack.encode(saved)
    learn(group, random.Random(2), 10)
    assert msgspec.msgpack.encode(saved) == before


@given(st.integers(0, 10**6), st.permutations(range(5)))
def test_groups_add_up_to_the_same_in_any_order(seed: int, order: Sequence[int]) -> None:
    def merged(numbers: Sequence[int]) -> Group:
        total = Group()
        for number in numbers:
            total.merge(learn(Group(), random.Random(seed + number), number * 7))
        return total

    assert close(merged(range(5)).snapshot(), merged(order).snapshot())


@given(st.lists(st.floats(0.0, 50.0), min_size=1, max_size=40), st.integers(1, 4))
def test_parts_know_what_the_whole_knows(peaks: list[float], parts: int) -> None:
    whole, total = Group(), Group()
    groups = [Group() for _ in range(parts)]
    for i, peak in enumerate(peaks):
        whole.add_peak(PEAK, 0, peak)
        groups[i % parts].add_peak(PEAK, 0, peak)
    for group in groups:
        total.merge(group)
    ((n, mean, squares),) = whole.snapshot()[3][PEAK]
    assert total.snapshot()[3][PEAK] == [[n, pytest.approx(mean), pytest.approx(squares, abs=1e-9)]]


def test_a_merge_leaves_the_other_group_alone() -> None:
    other = learn(Group(), random.Random(1), 30)
    before = other.snapshot()
    Group().merge(other)
    learn(Group(), random.Random(2), 30).merge(other)
    assert other.snapshot() == before


def test_the_most_used_endpoints_are_kept() -> None:
    usage = Usage()
    usage.add("everybody's", 1000)
    for i in range(CAPACITY + 10):
        usage.add(f"host-{i}")
    assert len(usage.users) <= CAPACITY
    assert usage.users["everybody's"] == 1000
    assert usage.pairs == 1000 + CAPACITY + 10


def test_a_saved_summary_is_the_same() -> None:
    summary = PeerSummary()
    for name in ("mover", "moderator", ""):
        learn(summary.role(name), random.Random(name), 20)
    assert PeerSummary().restore(summary.snapshot()).snapshot() == summary.snapshot()


def peaks_of(role: str, mean: float, count: int) -> PeerSummary:
    """A partition whose principals of one role had these log peaks, spread by one."""
    summary = PeerSummary()
    for i in range(count):
        summary.role(role).add_peak(BYTES, 0, mean + (1.0 if i % 2 else -1.0))
    return summary


def rate(role: str, *published: PeerSummary) -> Prior:
    (prior,) = Priors(0.0, published).rate(role, BYTES, 1)
    return prior


def test_where_nobody_knows_anything_the_prior_is_wide() -> None:
    assert Priors().rate("mover", BYTES, 2) == (UNKNOWN_BYTES, UNKNOWN_BYTES)
    assert Priors().rate("mover", RECORDS, 1) == (UNKNOWN_RECORDS,)


def test_the_prior_goes_from_ignorance_over_the_fleet_to_the_role() -> None:
    """The more the role itself has shown, the nearer its prior is to that."""
    fleet = peaks_of("others", 16.0, 400)
    means = [rate("mover", fleet, peaks_of("mover", 20.0, count)).mean for count in (0, 2, 20, 200, 2000)]
    assert all(one < other for one, other in pairwise(means))
    assert means[0] == pytest.approx(16.0, abs=0.1)
    assert means[-1] == pytest.approx(20.0, abs=0.1)


def test_a_role_that_nobody_has_seen_is_judged_as_the_fleet() -> None:
    fleet = peaks_of("others", 16.0, 400)
    assert rate("never seen", fleet) == rate("", fleet) == rate("other", fleet)


def test_the_prior_narrows_as_peers_agree() -> None:
    spreads = [rate("mover", peaks_of("mover", 12.0, count)).sd for count in (2, 20, 200)]
    assert all(one > other for one, other in pairwise([UNKNOWN_BYTES.sd, *spreads]))
    assert spreads[-1] == pytest.approx(1.0, abs=0.2)


@pytest.mark.parametrize("count", [1, 3, 100])
def test_one_role_does_not_blur_another(count: int) -> None:
    quiet, loud = peaks_of("quiet", 8.0, 300), peaks_of("loud", 20.0, count)
    assert abs(rate("quiet", quiet, loud).mean - 8.0) < 0.5


def test_it_does_not_matter_which_partition_knows_what() -> None:
    rng = random.Random(7)
    whole, one, two = PeerSummary(), PeerSummary(), PeerSummary()
    for i in range(60):
        peak, name = rng.gauss(12.0, 2.0), f"host-{rng.randrange(12)}"
        for summary in (whole, (one, two)[i % 2]):
            group = summary.role("mover")
            group.members += 1
            group.hours += 2
            group.add_channel_hour(BYTES)
            group.add_peak(BYTES, 0, peak)
            group.add_use("host", name)
    together, spread = Priors(1.0, [whole]), Priors(1.0, [one, two])
    mine, theirs = (priors.rate("mover", BYTES, 1)[0] for priors in (together, spread))
    assert (mine.mean, mine.sd, mine.count) == pytest.approx((theirs.mean, theirs.sd, theirs.count), rel=1e-12)
    assert together.share_of_hours("mover", BYTES) == spread.share_of_hours("mover", BYTES)
    for name in ("host-1", "never.example"):
        assert together.base("mover", "host", name) == spread.base("mover", "host", name)
        assert together.users("mover", "host", name) == spread.users("mover", "host", name)


def test_a_channels_share_of_hours_is_half_where_nobody_knows() -> None:
    busy = PeerSummary()
    busy.role("mover").hours = 1000
    busy.role("mover").channel_hours[BYTES] = 900
    assert Priors().share_of_hours("mover", BYTES) == 0.5
    assert Priors(0.0, [busy]).share_of_hours("mover", BYTES) == pytest.approx(0.9, abs=0.01)


def test_the_rarer_an_endpoint_the_smaller_its_base() -> None:
    summary = PeerSummary()
    for role, members in (("mover", 20), ("moderator", 20)):
        group = summary.role(role)
        group.members = members
        for i in range(members):
            group.add_use("host", "common.example")
            group.add_use("host", f"{role}-{i % 5}.example")
    priors = Priors(0.0, [summary])
    common, few, others, nobodys = (
        priors.base("mover", "host", name)
        for name in ("common.example", "mover-1.example", "moderator-1.example", "never.example")
    )
    assert 1.0 == common > few > others > nobodys > 0.0
    assert priors.users("mover", "host", "moderator-1.example") == (0, 4)
    assert priors.users("mover", "host", "common.example") == (20, 40)


def test_what_is_published_later_does_not_change_priors_in_force() -> None:
    summary = peaks_of("mover", 12.0, 50)
    priors = Priors(0.0, [summary])
    before = [summary.role("mover").snapshot(), priors.rate("mover", BYTES, 1)]
    learn(summary.role("mover"), random.Random(1), 50)
    assert priors.rate("mover", BYTES, 1) == before[1]
    assert Priors(0.0, [summary]).rate("mover", BYTES, 1) != before[1]
