"""What every model here has in common.

Score before you learn, always: `score_one` never changes the state, `learn_one` is the only thing that
does. A snapshot is plain data (numbers, strings, lists, dicts), so that it can be kept in any format and
read by another version; a model restored from it scores exactly as the one that was saved.
"""

import math
from typing import Any, Protocol, Self


class Model(Protocol):
    """An online model with explicit state. Arguments of score and learn differ by model."""

    def snapshot(self) -> list[Any]:
        """The whole state as plain data, without the parameters."""
        ...

    def restore(self, state: list[Any]) -> Self:
        """Take over a state that `snapshot` gave; returns the model itself.

        Raises:
            ValueError: The state has another shape than this model's.
        """
        ...


def log10_surprise(probability: float) -> float:
    """-log10 of a probability, at most 300: bigger is stranger.

    >>> round(log10_surprise(1e-6), 6)
    6.0
    >>> log10_surprise(0.0)
    300.0
    """
    return -math.log10(probability) if probability > 1e-300 else 300.0
