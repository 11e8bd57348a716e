"""Measure, print the tables, keep the numbers."""

import argparse
import sys
from pathlib import Path

import msgspec

from tests.bench import decoding


def main() -> None:
    """`make bench`."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--repetitions", type=int, default=7, help="of each measurement")
    parser.add_argument("--json", type=Path, help="write the numbers there")
    chosen = parser.parse_args()
    costs = decoding.measure(chosen.repetitions)
    sys.stdout.write(decoding.table(costs) + "\n")
    if chosen.json is not None:
        chosen.json.write_bytes(msgspec.json.format(msgspec.json.encode({"decoding": costs}), indent=2) + b"\n")


if __name__ == "__main__":
    main()
