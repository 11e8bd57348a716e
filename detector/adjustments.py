"""The adjustments in force: what verdicts on alerts say is to be told no more."""

import heapq
from datetime import datetime
from typing import Final

from detector.feedback import Adjustment, measured
from detector.findings import Finding

# Those remembered; past it the one that ends first is forgotten, and what it covered is told again.
REMEMBERED: Final = 10_000


class Adjustments:
    """Those of one process, for all its partitions. One thread may tell it of more while others ask."""

    def __init__(self) -> None:
        self._by_id: dict[str, Adjustment] = {}
        self._by_subject: dict[tuple[str, str], tuple[Adjustment, ...]] = {}
        self._by_end: list[tuple[datetime, str]] = []

    def __len__(self) -> int:
        return len(self._by_id)

    def put(self, adjustment: Adjustment) -> None:
        """Take one in; it replaces the one of the same id."""
        if self._by_id.get(adjustment.id) == adjustment:
            return  # the topic is read from its beginning again after trouble
        self._remove(adjustment.id)
        self._by_id[adjustment.id] = adjustment
        subject = adjustment.detector, adjustment.subject
        # Tuples are replaced, never changed: whoever asks meanwhile sees the one or the other.
        others = self._by_subject.get(subject, ())
        self._by_subject[subject] = tuple(sorted((*others, adjustment), key=lambda one: one.id))
        heapq.heappush(self._by_end, (adjustment.ends, adjustment.id))
        while len(self._by_id) > REMEMBERED:
            ends, first = heapq.heappop(self._by_end)
            if first in self._by_id and self._by_id[first].ends == ends:
                self._remove(first)

    def _remove(self, adjustment_id: str) -> None:
        gone = self._by_id.pop(adjustment_id, None)
        if gone is None:
            return
        subject = gone.detector, gone.subject
        left = tuple(one for one in self._by_subject[subject] if one.id != adjustment_id)
        if left:
            self._by_subject[subject] = left
        else:
            del self._by_subject[subject]

    def covering(self, finding: Finding) -> Adjustment | None:
        """The adjustment by which a finding is told no more; None if there is none."""
        if not self._by_subject:
            return None
        found = measured(finding)
        if found is None:
            return None
        subject, size = found
        candidates = self._by_subject.get((finding.detector, subject), ())
        return next((one for one in candidates if one.covers(finding, size)), None)
