"""Garbage collection in a process that holds much for long: nothing is looked through again and again.

Python looks for cycles in all there is whenever there is a quarter more: with many principals that takes a second, in
which nothing is scored. What is remembered of them has no cycles, and dies as soon as nobody refers to it.
"""

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

# More objects than this before the youngest are looked through, more rounds of that before the younger are, and of
# those before all others are: so that some 40,000 are looked through at once, which takes less than 20 ms.
THRESHOLDS: Final = (2_000, 10, 1)

# So many objects that outlived a look at all are not worth another.
MUCH: Final = 20_000


@contextmanager
def spared() -> Iterator[None]:
    """Within the block, objects that outlive a full collection are looked through no more, once they are many.

    They are freed as ever when nobody refers to them, unless they become part of a cycle: that is the price.
    """
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
    gc.callbacks.append(_freeze_much)
    try:
        yield
    finally:
        gc.callbacks.remove(_freeze_much)
        gc.set_threshold(*before)
        gc.unfreeze()


def _freeze_much(phase: str, about: Mapping[str, Any]) -> None:
    if phase == "stop" and about["generation"] == 2 and len(gc.get_objects(generation=2)) >= MUCH:
        gc.freeze()
