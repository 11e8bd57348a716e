"""Scores of the rate model on series of the Numenta Anomaly Benchmark: python -m tests.support.nab DATA_DIR OUT.json.

DATA_DIR holds folders of series (`timestamp,value`, times taken as UTC). OUT.json is written as
{"folder/series.csv": [one score a row]}, bigger is stranger. The model is as anybody gets it: made without
arguments, fed one row after the other, and each row is scored before it is learnt.
"""

import csv
import datetime as dt
import json
import sys
from pathlib import Path

from models.rate import DecayedRate


def samples(path: Path) -> list[tuple[float, float]]:
    """The rows of a series: (unix seconds, value)."""
    with path.open(newline="") as rows:
        return [
            (dt.datetime.fromisoformat(row["timestamp"]).replace(tzinfo=dt.UTC).timestamp(), float(row["value"]))
            for row in csv.DictReader(rows)
        ]


def scores(series: list[tuple[float, float]]) -> list[float]:
    """One score a row."""
    model, made = DecayedRate(), []
    for time, value in series:
        made.append(model.score_one(value, time))
        model.learn_one(value, time)
    return made


def main(data: Path, out: Path) -> None:
    """Score every series below `data`."""
    paths = sorted(data.glob("*/*.csv"))
    if not paths:
        raise SystemExit(f"{data}: no folder with series (*/*.csv)")
    out.write_text(json.dumps({path.relative_to(data).as_posix(): scores(samples(path)) for path in paths}))
    sys.stdout.write(f"{len(paths)} series -> {out}\n")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit("usage: python -m tests.support.nab DATA_DIR OUT.json")
    main(Path(sys.argv[1]), Path(sys.argv[2]))
