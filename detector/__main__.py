"""`python -m detector` is `detector`."""

import sys

from detector.os_signals import hold_hangups


def main() -> None:
    """The program; `run` may be asked to reload before it has read its own code."""
    if sys.argv[1:2] == ["run"]:
        hold_hangups()
    from detector.cli import main as work  # noqa: PLC0415 - it takes a second

    work()


if __name__ == "__main__":
    main()
