"""What the clients give with nothing behind them, and with each message decoded: what all else is measured against."""

import subprocess
import sys
from typing import Final

import msgspec

from tests.bench.live import Ground, Rate

MOST: Final = 120_000
_SECONDS: Final = 600


class Bare(msgspec.Struct, frozen=True):
    """Messages a second of one process, by kafka-python: by `poll()` alone, and with `msgspec` behind it.

    `fast` and `fast_decode` are the same by confluent-kafka.
    """

    messages: int
    poll: Rate
    decode: Rate
    fast: Rate
    fast_decode: Rate


def measure(ground: Ground, repetitions: int) -> Bare:
    """Read the beginning of the topic again and again, by consumers with the settings of the detector's own."""
    messages = min(ground.messages, MOST)
    command = [sys.executable, "-m", "tests.bench.consume", ground.bootstrap, ground.topic, str(messages)]
    printed = subprocess.run(
        [*command, "--times", str(repetitions)], stdout=subprocess.PIPE, timeout=_SECONDS, check=True
    ).stdout
    found = msgspec.json.decode(printed.splitlines()[-1], type=dict[str, dict[str, list[float]]])
    rates = [
        Rate.of(found[client][what]) for client in ("kafka-python", "confluent-kafka") for what in ("poll", "decode")
    ]
    return Bare(messages, *rates)


def table(bare: Bare) -> str:
    """As Markdown."""
    lines = [
        "| one process, one broker | messages/s | worst to best | of kafka-python's bare `poll()` |",
        "| --- | ---: | ---: | ---: |",
        *(
            f"| {name} | {rate.median:,.0f} | {rate.worst:,.0f} to {rate.best:,.0f} "
            f"| {rate.median / bare.poll.median:.0%} |"
            for name, rate in (
                ("kafka-python `poll()`", bare.poll),
                ("and `msgspec` decode", bare.decode),
                ("confluent-kafka `consume()`", bare.fast),
                ("and `msgspec` decode", bare.fast_decode),
            )
        ),
    ]
    told = (
        f"{bare.messages:,} messages, each time, from the first batch on. While that is waited for, confluent-kafka "
        "fetches thousands of each partition ahead: its rate is mostly that of handing over."
    )
    return "\n".join([*lines, "", told])
