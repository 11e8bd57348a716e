"""`python -m detector` is `detector`."""

import signal
import sys


def main() -> None:
    """The program; `run` may be asked to reload before it has read its own code."""
    if sys.argv[1:2] == ["run"]:
        # Till somebody takes it, a SIGHUP waits: else it would end the program. First of all, before anything is read.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    from detector.cli import main as work  # noqa: PLC0415 - it takes a second
    from detector.ending import ends_soon_after  # noqa: PLC0415

    if sys.argv[1:2] == ["run"]:
        with ends_soon_after():
            work()
    else:
        work()


if __name__ == "__main__":
    main()
