"""What kafka-python gives with nothing behind it, and with each message decoded: what all else is measured against."""

import subprocess
import sys
from typing import Final

import msgspec

from tests.bench.live import Ground, Rate

_SECONDS: Final = 600


class Bare(msgspec.Struct, frozen=True):
    """Messages a second of one process: by `poll()` alone, and with `msgspec` behind it."""

    messages: int
    poll: Rate
    decode: Rate


def measure(ground: Ground, repetitions: int) -> Bare:
    """Read the topic again and again, by a consumer with the settings of the detector's own."""
    command = [sys.executable, "-m", "tests.bench.consume", ground.bootstrap, ground.topic, str(ground.messages)]
    printed = subprocess.run(
        [*command, "--times", str(repetitions)], stdout=subprocess.PIPE, timeout=_SECONDS, check=True
    ).stdout
    rates = msgspec.json.decode(printed.splitlines()[-1], type=dict[str, list[float]])
    return Bare(ground.messages, Rate.of(rates["poll"]), Rate.of(rates["decode"]))


def table(bare: Bare) -> str:
    """As Markdown."""
    lines = [
        "| one process, one broker | messages/s | worst to best | of bare `poll()` |",
        "| --- | ---: | ---: | ---: |",
        *(
            f"| {name} | {rate.median:,.0f} | {rate.worst:,.0f} to {rate.best:,.0f} "
            f"| {rate.median / bare.poll.median:.0%} |"
            for name, rate in (("kafka-python `poll()`", bare.poll), ("and `msgspec` decode", bare.decode))
        ),
    ]
    return "\n".join([*lines, "", f"{bare.messages:,} messages, each time."])
