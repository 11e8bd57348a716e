"""The README tells the truth: its made parts are as the code makes them, its examples are valid."""

import re

import pytest

from detector.config_file import parse
from detector.detectors import REGISTRY
from detector.events import KINDS
from detector.formats.native import decode
from tests.support.readme import PARTS, README, part


@pytest.mark.parametrize("name", sorted(PARTS))
def test_a_made_part_is_as_the_code_makes_it(name: str) -> None:
    assert part(name) == PARTS[name](), "run `make docs`"


def test_the_example_events_are_one_of_each_kind() -> None:
    lines = part("events").splitlines()[1:-1]
    kinds = []
    for line in lines:
        decoded = decode(line.encode())
        assert isinstance(decoded, tuple), decoded
        kinds.append(decoded[0].kind)
    assert sorted(kinds) == sorted(KINDS)


def test_the_example_configuration_is_valid() -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert parse(text, "README.md").charters.roles


def test_every_detector_is_told() -> None:
    text = README.read_text(encoding="utf-8")
    assert [name for name in REGISTRY if f"| `{name}` |" not in text] == []
