"""Measure, print the tables, keep the numbers."""

import argparse
import sys
from pathlib import Path

import msgspec

from tests.bench import decoding, scoring


def main() -> None:
    """`make bench`."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--repetitions", type=int, default=7, help="of each measurement")
    parser.add_argument("--quick", action="store_true", help="small, to see that it works; the numbers say little")
    parser.add_argument("--json", type=Path, help="write the numbers there")
    chosen = parser.parse_args()
    decoded = decoding.measure(1 if chosen.quick else chosen.repetitions)
    sys.stdout.write(decoding.table(decoded) + "\n\n")
    scored = scoring.measure(2, 100, 3, 1) if chosen.quick else scoring.measure()
    sys.stdout.write(scoring.table(scored) + "\n")
    if chosen.json is not None:
        measured = {"decoding": decoded, "scoring": scored}
        chosen.json.write_bytes(msgspec.json.format(msgspec.json.encode(measured), indent=2) + b"\n")


if __name__ == "__main__":
    main()
