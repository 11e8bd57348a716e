"""Work on something that may never answer, for so long and no longer."""

import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def within(seconds: float, work: Callable[[], T]) -> T:
    """Do it in a thread of its own, which is left behind when it takes too long: it can't be ended.

    Whatever `work` does after that must harm nobody.

    Raises:
        TimeoutError: It was not done in so many seconds.
        Exception: What `work` raised.
    """
    done = threading.Event()
    results: list[T] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            failures.append(error)
        done.set()

    threading.Thread(target=run, name="bounded", daemon=True).start()
    if not done.wait(seconds):
        raise TimeoutError(f"no answer in {seconds:g} s")
    if failures:
        raise failures[0]
    return results[0]
