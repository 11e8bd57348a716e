"""The README tells the truth: its made parts are as the code makes them, its examples are valid."""

import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from detector.config_file import parse
from detector.detectors import REGISTRY
from detector.evaluation import Evaluation
from detector.events import KINDS
from detector.formats.native import decode
from tests.support import measured, worked
from tests.support.ablation import Ablation
from tests.support.evaluation import CLEAN, COMMON_DAYS
from tests.support.readme import PARTS, README, part
from tests.support.simulator.families import FAMILIES, INCIDENTS


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.chdb if name in worked.NAMES else ()) for name in sorted(PARTS)]
)
def test_a_made_part_is_as_the_code_makes_it(name: str) -> None:
    assert part(name) == PARTS[name](), "run `make docs`"


@pytest.mark.parametrize(
    ("path", "kind"), [(measured.EVALUATION, Evaluation), (measured.ABLATION, Ablation)], ids=["evaluation", "ablation"]
)
def test_a_kept_measurement_is_of_the_present_shape_and_says_where_it_comes_from(path: Path, kind: type[Any]) -> None:
    origin = measured.kept(path, kind).origin
    assert origin is not None, "measure anew with --date"
    assert date.fromisoformat(origin.date).year >= 2026
    assert origin.seeds
    assert origin.versions["detector"]


def test_a_kept_measurement_of_another_shape_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    path.write_text('{"families": [], "false_alarms": {}, "speed": 3}', encoding="utf-8")
    with pytest.raises(ValueError, match=r"unknown fields \['\.speed'\]"):
        measured.kept(path, Evaluation)
    path.write_text('{"families": []}', encoding="utf-8")
    with pytest.raises(ValueError, match="false_alarms"):
        measured.kept(path, Evaluation)


def test_the_kept_evaluation_tells_every_family_with_enough_variants() -> None:
    text, kept = measured.evaluation(), measured.kept(measured.EVALUATION, Evaluation)
    assert {family.family for family in kept.families} == {*(known.name for known in FAMILIES), COMMON_DAYS, CLEAN}
    assert all(family.runs >= 20 for family in kept.families if family.family != CLEAN)
    assert [family.family for family in kept.families if f"| `{family.family}` |" not in text] == []
    assert kept.outcomes == ()
    assert [known.name for known in INCIDENTS if f"| `{known.name}` |" not in text.split("\n\n")[0]] == []


def test_the_example_events_are_one_of_each_kind() -> None:
    lines = part("events").splitlines()[1:-1]
    kinds = []
    for line in lines:
        decoded = decode(line.encode())
        assert isinstance(decoded, tuple), decoded
        kinds.append(decoded[0].kind)
    assert sorted(kinds) == sorted(KINDS)


def test_the_example_configurations_are_valid() -> None:
    service, overrides, tuned, read = re.findall(r"```yaml\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert parse(service, "README.md").charters.roles
    assert len(parse(overrides, "README.md").overrides) == 2
    assert parse(tuned, "README.md").overrides
    assert parse(read, "README.md").sources


def test_every_detector_is_told() -> None:
    text = README.read_text(encoding="utf-8")
    assert [name for name in REGISTRY if f"| `{name}` |" not in text] == []
