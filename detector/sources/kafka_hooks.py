"""Where kafka-python 3.0 needs help: damaged records, naps in polls, rebalances, and callbacks that may block.

All reach into its internals (`_fetcher`, `_net`), which is why the dependency is held below 4 and each has
an integration test of its own.
"""

from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final

import structlog
from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import Fetcher
from kafka.consumer.subscription_state import AsyncConsumerRebalanceListener
from kafka.future import Future

from detector.sources.alignment import Partition
from detector.sources.kafka_records import Batches
from detector.sources.member import SkippedRecord

log = structlog.get_logger(__name__)

Callback = Callable[[list[Partition]], None]

NAP_MS: Final = 5
IDLE_MS: Final = 100


def skip_damaged(consumer: KafkaConsumer, on_skip: Callable[[SkippedRecord], None]) -> None:
    """Make a consumer report a damaged record, and go on behind it.

    Left alone, kafka-python raises out of `poll()` and then spins in the next one for ever. `on_skip` is
    called within `poll()`, once for each offset: a damaged batch is left one offset at a time, since its
    header, and so the number of its records, can't be trusted.
    """
    consumer._fetcher.PartitionRecords = partial(_Records, on_skip=on_skip)


def free_drained(consumer: KafkaConsumer) -> None:
    """Let records through that were fetched before their partition was paused, now that it is resumed.

    kafka-python 3.0 parks them, and takes them back only while no other partition's records stand in line;
    but it leaves the last ones standing there after they were all handed over, so that a resumed partition
    would wait for ever. Called before each `poll()`.
    """
    fetcher = consumer._fetcher
    if not fetcher._next_partition_records:
        fetcher._next_partition_records = None


def poll(consumer: KafkaConsumer, seconds: float) -> dict[TopicPartition, list[Any]]:
    """What `KafkaConsumer.poll` gives, without its long naps, and with what comes next on its way meanwhile.

    kafka-python 3.0 looks at what came, then has fetches sent, then looks whether any is on its way; if none is, it
    sleeps for `retry_backoff_ms`, a tenth of a second. An answer that comes in between is neither; and while the
    thread that polls was busy, the client's own thread could not take an answer in, so that it does just then. Where
    there is something to read the nap is a short one; nothing else looks at that setting of the consumer itself.

    Nor does it fetch of any partition until all that it holds of the others is handed over.
    """
    readable = consumer.assignment() - consumer.paused()
    consumer.config["retry_backoff_ms"] = NAP_MS if readable else IDLE_MS
    came: dict[TopicPartition, list[Any]] = consumer.poll(timeout_ms=int(seconds * 1000))
    fetcher = consumer._fetcher
    if came and fetcher._completed_fetches and fetcher._fetchable_partitions():
        fetcher.send_fetches()
    return came


class _Records(Fetcher.PartitionRecords):  # type: ignore[misc]
    """The records of one fetched partition, read quickly, which end early instead of raising."""

    def __init__(self, *args: Any, on_skip: Callable[[SkippedRecord], None], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._on_skip = on_skip

    def _unpack_records(self, tp: TopicPartition, records: Any, *deserializers: Any) -> Iterator[Any]:
        unpacked: Iterator[Any] = super()._unpack_records(tp, Batches(records), *deserializers)
        return unpacked

    def take(self, n: int | None = None) -> list[Any]:
        try:
            return list(super().take(n))
        except Exception as error:  # noqa: BLE001 - whatever the bytes made a codec raise
            topic, number = self.topic_partition
            self._on_skip(SkippedRecord(topic, number, self.next_fetch_offset, str(error) or repr(error)))
            self.next_fetch_offset += 1
            self.drain()
            return []


def take_finished_join(consumer: KafkaConsumer) -> None:
    """Call before each `poll()`: what the group assigned between two polls is taken, not forgotten or asked for again.

    Left alone, kafka-python forgets a join that finished while nobody polled, and joins anew, which makes
    the whole group rebalance again; members that poll in short bursts then never come to rest. Worse, it looks at a
    join only while there is a reason for one. When partitions are added to a topic, the leader's own assignment
    takes the reason away; unless it is finished within one poll, nobody takes its result, heartbeats stay off, each
    commit is refused, and in the end the broker puts the member out.
    """
    coordinator = consumer._coordinator
    task = coordinator._join_task
    if task is None:
        return
    coordinator.request_rejoin()
    if task.is_done:
        coordinator._join_task = _FinishedJoin(task)


class _FinishedJoin:
    """A finished join that says that it is not, so that it is waited for, and its result taken."""

    is_done = False

    def __init__(self, task: Any) -> None:
        self._task = task

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    def __await__(self) -> Generator[Any, None, Any]:
        result: Generator[Any, None, Any] = self._task.__await__()
        return result


class Rebalance(AsyncConsumerRebalanceListener):  # type: ignore[misc]
    """Runs rebalance callbacks in a thread of their own, while `poll()` or `close()` waits for them.

    kafka-python calls a listener on its network thread, where a commit is forbidden and a slow save would
    stop the heartbeats. Here both are allowed: heartbeats go on, and since the owner's thread waits in
    `poll()`, a callback never runs beside it.

    `failure` is what a callback raised, until it is taken.
    """

    def __init__(self, consumer: KafkaConsumer, assigned: Callback, revoked: Callback, lost: Callback) -> None:
        self._net = consumer._net
        self._assigned, self._revoked, self._lost = assigned, revoked, lost
        self._pool = ThreadPoolExecutor(1, "kafka-rebalance")
        self.failure: Exception | None = None

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Called by kafka-python after a rebalance, with what was added."""
        await self._call(self._assigned, assigned)

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Called by kafka-python in a rebalance or on close, with what is to be given up."""
        await self._call(self._revoked, revoked)

    async def on_partitions_lost(self, lost: Iterable[TopicPartition]) -> None:
        """Called by kafka-python when the group has put this member out."""
        await self._call(self._lost, lost)

    def close(self) -> None:
        """End the thread."""
        self._pool.shutdown()

    async def _call(self, callback: Callback, partitions: Iterable[TopicPartition]) -> None:
        named = sorted((tp.topic, tp.partition) for tp in partitions)
        if not named:
            return
        done = Future()

        async def resolve() -> None:
            done.success(None)

        def work() -> None:
            try:
                callback(named)
            except Exception as error:  # noqa: BLE001 - raised again in the owner's thread
                self.failure = error
            self._net.call_soon_threadsafe(resolve)

        self._pool.submit(work)
        await done
        if self.failure is not None:
            raise self.failure
