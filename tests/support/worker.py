"""`detector run` with less patience: `python -m tests.support.worker CONFIG PATIENCE`, the latter as JSON.

It is the same service in a process of its own; only its time-outs are shorter, so that an outage of ten minutes can
be had in ten seconds. It knows `hanging://` as a place for its state.
"""

import logging
import sys
from pathlib import Path

import msgspec

from detector import screens
from detector.cli.common import FAILED, KNOWN
from detector.config_file import load
from detector.ending import ends_soon_after
from detector.logs import log_to_stderr
from detector.patience import Patience
from detector.service import Service
from tests.support import hanging_files


def main(config: str, patience: str) -> None:
    """Run it; known errors end it as they end the command."""
    log_to_stderr(logging.INFO)
    hanging_files.register()
    try:
        Service(load(Path(config)), patience=msgspec.json.decode(patience, type=Patience)).run()
    except KNOWN as error:
        screens.stderr().print(f"detector: {error}", markup=False, highlight=False)
        sys.exit(FAILED)


if __name__ == "__main__":
    with ends_soon_after():
        main(*sys.argv[1:])
