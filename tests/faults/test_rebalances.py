"""Workers come, go, crash and freeze while events flow: nothing is lost or doubled, and what stays goes on."""

import itertools
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import msgspec
import pytest

from detector.events import Actor
from detector.sources.kafka import CommitLost, CommitRetry, ConsumerSettings, KafkaSource
from tests.support.clean_replay import assert_clean
from tests.support.events import event
from tests.support.kafka import new_topic, publish, unique
from tests.support.kafka_source import EACH_CLIENT, QUICK, By, Listener, poll_until, read_each, source_of
from tests.support.receiver import Receiver
from tests.support.service import Deployment, until
from tests.support.soak_stream import BEGIN, Load, Message, messages
from tests.support.workers import Worker, at, kill_all

pytestmark = [pytest.mark.kafka, pytest.mark.chdb, pytest.mark.timeout(240)]

PRINCIPALS = 10_000
PARTITIONS = 6
RESUMED_SECONDS = 3.0


def crowd() -> Iterator[Message]:
    """One event of each of very many principals."""
    for number in range(PRINCIPALS):
        name = f"agent-{number}"
        one = event(id=f"c-{number}", actor=Actor(id=name, role="assistant"))
        yield name.encode(), msgspec.json.encode(msgspec.structs.replace(one, time=BEGIN - timedelta(days=1)))


@pytest.fixture
def load(deployment: Deployment) -> Iterator[Load]:
    """Two hundred messages a second, incidents among them."""
    load = Load(deployment.bootstrap, deployment.topics["events"], messages(1), 200)
    yield load
    if load.is_alive():
        load.stop()


@contextmanager
def workers_of() -> Iterator[dict[str, Worker]]:
    """By name; those that still run are killed at the end."""
    workers: dict[str, Worker] = {}
    try:
        yield workers
    finally:
        kill_all(workers.values())


def owners(deployment: Deployment, *workers: Worker) -> list[set[int]]:
    return [worker.partitions(deployment.topics["events"]) for worker in workers]


def shared_by(deployment: Deployment, *workers: Worker) -> bool:
    """Whether the partitions are spread evenly over these workers."""
    have = owners(deployment, *workers)
    return {len(numbers) for numbers in have} == {PARTITIONS // len(workers)} and len(set().union(*have)) == PARTITIONS


@EACH_CLIENT
def test_one_three_two_one_workers_while_events_flow(
    deployment: Deployment, load: Load, url: str, hook: Receiver
) -> None:
    topic = deployment.topics["events"]
    publish(deployment.bootstrap, topic, crowd())
    with workers_of() as workers:
        # One worker, which has met ten thousand principals.
        one = workers["one"] = Worker(deployment, "one")
        until(deployment.is_done, one)
        load.start()
        # Three: the two that join get two partitions each, and only those are given up.
        two, three = (workers.setdefault(name, Worker(deployment, name)) for name in ("two", "three"))
        until(lambda: shared_by(deployment, one, two, three), one, seconds=60)
        (kept,) = owners(deployment, one)
        given_up = {number for line in one.said("partitions_revoked") for name, number in line["partitions"]
                    if name == topic}  # fmt: skip
        assert given_up == set(range(PARTITIONS)) - kept, "what stays is not given up in between"
        # Two: a static member that ends is missed when its session is over.
        assert three.stop() == 0, three.log[-3000:]
        until(lambda: shared_by(deployment, one, two), one, seconds=60)
        # One: the other is killed.
        two.kill()
        until(lambda: shared_by(deployment, one), one, seconds=60)
        load.stop()
        until(deployment.is_done, one)
        assert one.stop() == 0, one.log[-3000:]
        slow = {name: took for name, worker in workers.items() if (took := slowest_restore(worker)) > RESUMED_SECONDS}
    assert not slow, "seconds from the end of the group's protocol until the last partition was restored"
    found = assert_clean(deployment, url, [request.body for request in hook.requests])
    assert found["alerts"].expected > 0, "without an incident the alerts show nothing"


def slowest_restore(worker: Worker) -> float:
    """Seconds from an assignment until all of its partitions were restored, at most."""
    restored = {(tuple(line["partition"]), i): at(line) for i, line in enumerate(worker.said("partition_restored"))}
    slowest = 0.0
    for assigned in worker.said("partitions_assigned"):
        begun = at(assigned)
        for partition in map(tuple, assigned["partitions"]):
            ends = [when for (name, _), when in restored.items() if name == partition and when >= begun]
            slowest = max(slowest, min(ends) - begun) if ends else slowest
    return slowest


def test_a_worker_that_froze_for_longer_than_its_session_doubles_nothing_when_it_wakes(
    deployment: Deployment, load: Load, url: str, hook: Receiver
) -> None:
    with workers_of() as workers:
        one, two = (workers.setdefault(name, Worker(deployment, name)) for name in ("one", "two"))
        until(lambda: shared_by(deployment, one, two), one, seconds=60)
        load.start()
        until(lambda: one.metric("detector_events_total") > 200, one)
        # It stops amid its work; its session is over after six seconds, and the other takes its partitions.
        one.freeze()
        until(lambda: shared_by(deployment, two), two, seconds=60)
        seen = two.metric("detector_events_total")
        until(lambda: two.metric("detector_events_total") > seen + 200, two)
        # It wakes, with results of before in its hands.
        one.thaw()
        load.stop()
        until(deployment.is_done, two)
        until(lambda: not one.alive or bool(one.said("partitions_lost")), seconds=60)
        if not one.alive:
            assert "was written by another member" in one.log
        kill_all([one])
        assert two.stop() == 0
    assert_clean(deployment, url, [request.body for request in hook.requests])


def test_a_partition_that_does_not_move_is_read_on_while_another_moves(kafka_bootstrap: str, by: By) -> None:
    topic, group, enough = new_topic(kafka_bootstrap, partitions=4), unique("group"), threading.Event()
    first, second = Listener(), Listener()
    came: defaultdict[int, list[float]] = defaultdict(list)

    def publish_on() -> None:
        for number in itertools.count():
            if enough.wait(0.1):
                return
            for partition in range(4):
                publish(kafka_bootstrap, topic, [(None, b"%d" % number)], partition=partition)

    def read_on(source: KafkaSource) -> None:
        while not enough.is_set():
            for (_, number), records in source.poll(0.1).items():
                came[number] += [time.monotonic()] * len(records)

    publishing = threading.Thread(target=publish_on)
    with source_of(by(kafka_bootstrap), topic, group, first, clock=time.time) as one:
        poll_until(lambda: len(first.owned) == 4, one)
        reading = threading.Thread(target=read_on, args=(one,))
        publishing.start()
        reading.start()
        try:
            until(lambda: min((len(came[number]) for number in range(4)), default=0) > 3, seconds=30)
            joined = time.monotonic()
            with source_of(by(kafka_bootstrap), topic, group, second, clock=time.time) as two:
                poll_until(lambda: len(second.owned) == 2, two, polls=300)
                settled = time.monotonic()
                enough.wait(1.0)
        finally:
            enough.set()
            publishing.join()
            reading.join()
    moved = {number for kind, partitions in first.calls[:2] if kind == "revoked" for _, number in partitions}
    assert len(moved) == 2, first.calls
    for number in set(range(4)) - moved:
        times = [when for when in came[number] if joined - 1.0 <= when <= settled + 1.0]
        gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert max(gaps) < RESUMED_SECONDS, (number, gaps)


def test_who_polls_too_seldom_loses_its_partitions_and_gets_a_share_again(kafka_bootstrap: str, by: By) -> None:
    """`max_poll_interval`: a loop that hangs is put out, though its heartbeats go on; its late commit is refused."""
    topic, group = new_topic(kafka_bootstrap, partitions=2), unique("group")
    publish(kafka_bootstrap, topic, [(None, b"v%d" % n) for n in range(10)], partition=0)
    hasty = ConsumerSettings(session_timeout=2.0, heartbeat_interval=0.3, max_poll_interval=2.0, commit_timeout=2.0)
    first, second = Listener(), Listener()
    with (
        source_of(by(kafka_bootstrap), topic, group, first, settings=hasty) as one,
        source_of(by(kafka_bootstrap), topic, group, second, settings=QUICK) as two,
    ):
        read_each([one, two], 10)  # both are polled: a client may hold up the group that it joins
        poll_until(lambda: len(first.owned) == len(second.owned) == 1, one, two)
        mine = set(first.owned)
        # The first works on one batch for longer than it may.
        poll_until(lambda: len(second.owned) == 2, two)
        with pytest.raises((CommitLost, CommitRetry)):
            one.commit(dict.fromkeys(mine, 5))
        poll_until(lambda: ("lost", sorted(mine)) in first.calls, one, two)
        # It polls again: both have a share, and a commit is taken.
        poll_until(lambda: len(first.owned) == len(second.owned) == 1, one, two)
        one.commit(dict.fromkeys(first.owned, 5))
