"""What the event store refuses for good, to the rejects: with the reason and the original bytes."""

from collections.abc import Sequence
from typing import Final

import structlog

from detector.events import Reject, Rejected
from detector.sinks.base import Batch, Refused, Sink, SinkUnavailable
from detector.sinks.runner import SinkRunner

log = structlog.get_logger(__name__)

FLUSH_SECONDS: Final = 5.0


class ToRejects:
    """Makes rejects of the events that a store refused; the `on_refused` of that store's runner.

    It returns when they are durable, in the store and on the topic, so that no checkpoint passes over them.
    Findings and alerts are not rejected: they have no bytes of their own, and their topics have them.

    Args:
        store: The sink that refused, and whose table of rejects may take what its table of events did not.
        topic: The runner of the sink that writes the topic of the rejects.
        seconds: To wait for the topic, before the whole batch is tried again.
    """

    def __init__(self, store: Sink, topic: SinkRunner, *, seconds: float = FLUSH_SECONDS) -> None:
        self._store = store
        self._topic = topic
        self._seconds = seconds
        self._put: list[Rejected] = []

    def __call__(self, sink: str, refused: Sequence[Refused]) -> None:
        """Write them down.

        Raises:
            SinkUnavailable: Not all is durable yet.
        """
        rejects = [rejected for one in refused if (rejected := _rejected(one)) is not None]
        if not rejects:
            return
        for unwritten in self._store.write(Batch(rejects=rejects)):
            log.error("reject_refused", sink=sink, why=unwritten.reason)
        # The batch comes again when this fails, and what waits for the topic need not wait there twice.
        if rejects != self._put:
            if not self._topic.put(Batch(rejects=rejects)):
                raise SinkUnavailable("the queue to the topic of the rejects is full")
            self._put = rejects
        if not self._topic.flush(self._seconds):
            raise SinkUnavailable("the topic of the rejects can't take what the store refused")
        self._put = []


def _rejected(refused: Refused) -> Rejected | None:
    if not isinstance(refused.item, tuple):
        return None
    envelope, _ = refused.item
    return Rejected(
        Reject("not_storable", refused.reason, envelope.raw),
        envelope.topic,
        envelope.partition,
        envelope.offset,
        envelope.received_at,
        envelope.index,
    )
