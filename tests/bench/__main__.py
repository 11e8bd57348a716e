"""Measure, print the tables, keep the numbers."""

import argparse
import os
import sys
import time
from pathlib import Path

import msgspec

from tests.bench import results
from tests.bench.sections import SECTIONS, Run


def main() -> None:
    """`make bench`."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--repetitions", type=int, default=5, help="of each measurement of decoding")
    parser.add_argument("--quick", action="store_true", help="small, to see that it works; the numbers say little")
    parser.add_argument("--million", action="store_true", help="backtest a million events, not a tenth (half an hour)")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, metavar="SECTION", default=[*SECTIONS],
                        help=f"some of: {', '.join(SECTIONS)}")  # fmt: skip
    parser.add_argument("--json", type=Path, help="write the numbers there")
    parser.add_argument("--results", type=Path, nargs="?", const=results.FOLDER, metavar="FOLDER",
                        help=f"write {results.PAGE} and {results.CHART} there (default: here)")  # fmt: skip
    chosen = parser.parse_args()
    for folder in filter(None, (chosen.results, chosen.json and chosen.json.parent)):
        folder.mkdir(parents=True, exist_ok=True)  # before a quarter of an hour's work, not after it
    with Run(quick=chosen.quick, repetitions=chosen.repetitions, million=chosen.million) as run:
        for name in chosen.only:
            began = time.monotonic()
            table = run.table(name)
            sys.stdout.write(f"{table}\n\n({name}: {time.monotonic() - began:.0f} s)\n\n")
            sys.stdout.flush()
        if chosen.json is not None:
            chosen.json.write_bytes(msgspec.json.format(msgspec.json.encode(run.found), indent=2) + b"\n")
        if chosen.results is not None:
            sys.stdout.write(f"written: {', '.join(map(str, results.write(run, chosen.results)))}\n")
        for what in run.left_out:
            sys.stdout.write(f"left out: {what}\n")
        sys.stdout.write(f"measured: {', '.join(name for name in run.found if name not in run.missing + run.failed)}\n")
        # What CI has not installed is a mistake of CI's; the peers alone may be left out, and are told.
        if run.failed or (run.missing and os.environ.get("CI") == "true"):
            sys.exit(f"failed: {', '.join(run.failed + run.missing)}")


if __name__ == "__main__":
    main()
