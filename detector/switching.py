"""From one configuration to another, stage by stage: all of them change over, or none does."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

import structlog

from detector.stages import Stage

log = structlog.get_logger(__name__)


class Step(NamedTuple):
    """What one stage does to change over, and to go back."""

    stage: Stage
    change: Callable[[], None]
    back: Callable[[], None]


class Switch:
    """Has each stage change over between two of its batches, the next one once the one before has; then says so.

    A stage that fails stays as it is, and those before it go back.

    Args:
        steps: The stages, in order.
        on_end: Called once, on the thread of the stage that ended it, with the failure or None.
    """

    def __init__(self, steps: Sequence[Step], on_end: Callable[[Exception | None], None]) -> None:
        self._steps = deque(steps)
        self._changed: list[Step] = []
        self._on_end = on_end
        self.waits_for = ""
        """The stage that is at its batch."""
        self.over = threading.Event()
        """Set once `on_end` was called."""

    def begin(self) -> None:
        """Have the first stage change over, and so on."""
        if not self._steps:
            self._end(None)
            return
        step = self._steps.popleft()
        self.waits_for = step.stage.name
        step.stage.between_batches(lambda: self._take(step))

    def _take(self, step: Step) -> None:
        try:
            step.change()
        except Exception as error:  # it is the reload's, and not the end of the stage
            log.exception("config_not_taken_on", stage=step.stage.name)
            for before in self._changed:
                before.stage.between_batches(lambda before=before: _go_back(before))  # type: ignore[misc]
            self._end(error)
        else:
            self._changed.append(step)
            self.begin()

    def _end(self, failure: Exception | None) -> None:
        try:
            self._on_end(failure)
        finally:
            self.over.set()


def _go_back(step: Step) -> None:
    try:
        step.back()
    except Exception:
        log.exception("config_not_taken_back", stage=step.stage.name)
