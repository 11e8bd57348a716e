"""The worked examples of the operator's desk, as its commands tell them: for the README, which shows them."""

import io
from datetime import timedelta
from functools import partial
from pathlib import Path

from rich.console import Console

from detector import assembly, screens
from detector.audit.answer import Answer
from detector.audit.show import to_screen
from detector.backtest import answer as backtests
from detector.backtest import known as incidents
from detector.backtest.compare import compare
from detector.backtest.play import Played, Player
from detector.config import Config
from detector.config_file import parse
from detector.history.files import from_files
from detector.history.rows import Row, blocks
from detector.sources.files import FileSource
from detector.train import answer as trainings
from detector.train import training
from detector.train.compare import Beside
from detector.train.history import from_records
from detector.tune.answer import span_words
from detector.tune.fragment import fragment
from detector.tune.proposal import propose
from detector.tune.record import Recorder, Recording
from detector.tune.trials import Aim
from tests.support import noisy

SAMPLE = Path(__file__).parents[2] / "sample_logs" / "inbox_deletion"
EVENTS = "sample_logs/inbox_deletion/events.ndjson.gz"
TRIED = "detectors:\n  unapproved_action: {enabled: false}\n  behaviour: {enabled: false}\n"


def backtest() -> str:
    """`detector backtest sample_logs/inbox_deletion/events.ndjson.gz --config new.yaml --labels …/expected.yaml`."""
    rows = list(from_files([FileSource(SAMPLE / "events.ndjson.gz", lambda: 1.9e9)]))
    known = incidents.read(SAMPLE / "expected.yaml")
    configs = (Config(), parse(TRIED, "new.yaml"))
    old, new = (_played(config, rows) for config in configs)
    told = backtests.told(compare(old, new, *configs, known), old, new, ("the defaults", "new.yaml"))
    told.tables = [table for table in told.tables if table.name in {"changed", "incidents"}]
    return _shown(told, f"backtest {EVENTS} --config new.yaml --labels sample_logs/inbox_deletion/expected.yaml")


def _played(config: Config, rows: list[Row]) -> Played:
    player = Player(config)
    for block in blocks(rows):
        player.take(block)
    return player.result()


def tune() -> str:
    """`detector tune couriers.ndjson --budget 2/day --from 2026-03-09`: the fragment."""
    rows = noisy.rows(noisy.couriers(5, 12, 21, 5.0))
    record = partial(_recorded, rows=rows)
    proposal = propose(record(Config()), Config(), [], Aim(2.0), record)
    return f"```yaml\n{fragment(proposal, 'couriers.ndjson', span_words(proposal))}```"


def _recorded(config: Config, rows: list[Row]) -> Recording:
    recorder = Recorder(config, noisy.BEGIN + timedelta(days=7))
    recorder.take(rows)
    result: Recording = recorder.result()
    return result


def _shown(told: Answer, command: str) -> str:
    text = io.StringIO()
    to_screen(told, Console(file=text, width=screens.PIPE_WIDTH))
    return (
        f"```text\n$ detector {command}\n" + "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n```"
    )


def train() -> str:
    """`detector train sample_logs/inbox_deletion/events.ndjson.gz --config loud.yaml`, its tables."""
    source = FileSource(SAMPLE / "events.ndjson.gz", lambda: 1.9e9)
    trained = training.train(from_records(source, assembly.decoder(Config())), [source.topic])
    config = parse("detectors: {forest_challenger: {p: 0.01}}", "loud.yaml")
    player = Beside(config, trained.forest, trained.card.held_out_from)
    player.take(list(from_files([source])))
    told = trainings.told(trained.card, player.result(), Path("var/model/forest.skops"))
    told.facts = {name: value for name, value in told.facts.items() if name not in {"model", "beside"}}
    return _shown(told, f"train {EVENTS} --config loud.yaml")
