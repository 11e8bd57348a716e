"""Alerts that statistics alone raised: those that the budget of false alerts is for."""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from detector.alerts import Alert
from detector.findings import Finding

REMEMBERED: Final = 20_000


class StatisticalAlerts:
    """Tells of which new alerts all findings have a p-value, by the findings that it saw.

    Nothing of it is saved: an alert that rests on findings from before a restart is not taken for one of statistics.

    Args:
        most: Findings remembered; of more, the oldest are forgotten.
    """

    def __init__(self, most: int = REMEMBERED) -> None:
        self._most = most
        self._seen: OrderedDict[str, None] = OrderedDict()

    def see(self, finding: Finding) -> None:
        """Remember a finding, if it is one of statistics."""
        if finding.p_value is not None:
            self._seen[finding.id] = None
            if len(self._seen) > self._most:
                self._seen.popitem(last=False)

    def among(self, alerts: Iterable[Alert]) -> int:
        """How many of these versions are first ones with nothing but statistics behind them."""
        return sum(a.version == 1 and all(one in self._seen for one in a.finding_ids) for a in alerts)
