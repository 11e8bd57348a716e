"""Numbers as a line of small bars, for a terminal."""

from collections.abc import Sequence
from typing import Final

_BARS: Final = "▁▂▃▄▅▆▇█"
_NOTHING: Final = "·"


def sparkline(values: Sequence[float]) -> str:
    """A bar for each value, the highest in full; a dot for nothing.

    >>> sparkline([0, 1, 4, 8])
    '·▁▄█'
    >>> sparkline([0.0, 0.0])
    '··'
    """
    most = max(values, default=0.0)
    return "".join(
        _BARS[min(len(_BARS) - 1, int(value / most * (len(_BARS) - 0.01)))] if value > 0 else _NOTHING
        for value in values
    )
