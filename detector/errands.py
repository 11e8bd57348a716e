"""What other threads want done on a loop's own thread, between two of its rounds."""

import threading
from collections.abc import Callable
from queue import SimpleQueue


class Errands:
    """Waits for the loop to come round. Any thread may give an errand; one thread runs them, in order."""

    def __init__(self) -> None:
        self._waiting: SimpleQueue[tuple[Callable[[], None], threading.Event]] = SimpleQueue()

    def give(self, errand: Callable[[], None]) -> threading.Event:
        """Have something done in the next round; returns what is set once it is done."""
        done = threading.Event()
        self._waiting.put((errand, done))
        return done

    def run(self) -> bool:
        """Do what was given; whether there was anything. What an errand raises ends the round."""
        any_done = False
        while not self._waiting.empty():
            errand, done = self._waiting.get()
            errand()
            done.set()
            any_done = True
        return any_done
