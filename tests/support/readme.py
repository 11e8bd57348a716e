"""The parts of the README that are made from the code, and how they are made anew: `make docs`."""

import io
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from rich.console import Console

from detector import assembly, screens
from detector.config import Config
from detector.config_reference import reference
from detector.decoding import Decoder
from detector.replay import Replay
from detector.sources.files import FileSource
from tests.support import desk, measured, worked

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"


def alert() -> str:
    """An alert as `detector replay` shows it."""
    replay = Replay(assembly.pipeline(Config()), Decoder("native"))
    replay.run(FileSource(ROOT / "sample_logs/inbox_deletion/events.ndjson.gz", time.time))
    text = io.StringIO()
    console = Console(file=text, width=screens.PIPE_WIDTH)
    for raised in replay.result.alerts.values():
        console.print(screens.story(raised))
    lines = (line.rstrip() for line in text.getvalue().splitlines())
    return "```text\n" + "\n".join(lines) + "\n```"


PARTS: Mapping[str, Callable[[], str]] = {
    "alert": alert,
    "settings": reference,
    "evaluation": measured.evaluation,
    "ablation": measured.ablation,
    "backtest": desk.backtest,
    "tune": desk.tune,
    "train": desk.train,
    **{name: partial(worked.example, name) for name in worked.NAMES},
}


def part(name: str) -> str:
    """What stands between a part's marks in the README."""
    _, _, rest = README.read_text(encoding="utf-8").partition(f"<!-- {name} -->\n")
    text, mark, _ = rest.partition(f"\n<!-- /{name} -->")
    assert mark, f"README.md has no part {name}"
    return text


def renew() -> None:
    """Write every part anew."""
    text = README.read_text(encoding="utf-8")
    for name, make in PARTS.items():
        before, begin, rest = text.partition(f"<!-- {name} -->\n")
        _, end, after = rest.partition(f"<!-- /{name} -->")
        text = f"{before}{begin}{make()}\n{end}{after}"
    README.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    renew()
