"""The adjustments in force: what verdicts on alerts say is to be told no more."""

from collections import defaultdict
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

    def __len__(self) -> int:
        return len(self._by_id)

    def put(self, adjustment: Adjustment) -> None:
        """Take one in; it replaces the one of the same id."""
        by_id = {**self._by_id, adjustment.id: adjustment}
        if len(by_id) > REMEMBERED:
            del by_id[min(by_id.values(), key=lambda one: (one.ends, one.id)).id]
        by_subject: defaultdict[tuple[str, str], list[Adjustment]] = defaultdict(list)
        for one in sorted(by_id.values(), key=lambda one: one.id):
            by_subject[one.detector, one.subject].append(one)
        # Replaced, never changed: whoever asks meanwhile sees the one or the other.
        self._by_id, self._by_subject = by_id, {subject: tuple(ones) for subject, ones in by_subject.items()}

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
