"""`detector formats` and `detector decode`, as someone who writes a mapping meets them."""

import gzip
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from detector.cli import app
from detector.formats import REGISTRY
from tests.support.service import DETECTOR
from tests.unit.test_formats import GOOD

LABELS = """
labels:
  resources:
    - {match: ["github://acme/*"], sensitivity: confidential}
  principals:
    - {match: [ann], role: engineer}
"""


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


def decoded(folder: Path, raw: bytes, *options: str) -> Result:
    """What is said of a file of one line."""
    file = folder / "one.ndjson"
    file.write_bytes(raw)
    return invoke("decode", file, *options)


def objects(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """A file of an event, one that nobody knows, something broken, and two records in a line."""
    path = tmp_path / "mixed.ndjson.gz"
    lines = [GOOD["github"], b'{"colour": "red"}', b"no", b'{"Records": []}', GOOD["cloudtrail"]]
    path.write_bytes(gzip.compress(b"\n".join(lines)))
    return path


def test_both_commands_are_in_the_list_of_commands() -> None:
    listed = invoke("--help").stdout
    assert "formats" in listed
    assert "decode" in listed
    assert "Ends with status 1" in " ".join(invoke("decode", "--help").stdout.split())


def test_every_format_is_listed_with_what_it_is_recognised_by() -> None:
    told = invoke("formats")
    assert told.exit_code == 0
    assert all(name in told.stdout for name in REGISTRY)
    assert "`class_uid`" in told.stdout


def test_each_line_is_told_as_it_is_understood(mixed: Path) -> None:
    told = invoke("decode", mixed)
    assert told.exit_code == 1, "something was refused"
    said = " ".join(told.stdout.split())
    for part in (
        "line 1 github by `action` and `@timestamp`",
        "who human ann",
        "what permission repo.access",
        "on what github://acme/app (repository) sensitivity unknown",
        "permission widen “visibility” audience public",
        "outcome success",
        "line 2 not recognised refused unknown_format: its keys are colour",
        "line 3 not recognised refused not_json",
        "line 4 cloudtrail holds nothing that the detector reads",
        "line 5, record 1 cloudtrail by `eventName` and `eventSource`",
    ):
        assert part in said
    assert "5 lines: " in told.stderr
    assert "refused: not_json 1, unknown_format 1" in " ".join(told.stderr.split())


def test_a_script_gets_an_object_a_record(mixed: Path) -> None:
    first, unknown, broken, empty, *records = objects(invoke("decode", mixed, "--json"))
    assert (first["line"], first["format"], first["recognised_by"]) == (1, "github", "`action` and `@timestamp`")
    assert (first["event"]["actor"]["id"], first["filled"]) == ("ann", {})
    assert unknown["reject"]["reason"] == "unknown_format"
    assert broken["reject"]["reason"] == "not_json"
    assert empty["event"] is None
    assert [(record["line"], record["index"]) for record in records] == [(5, 0), (5, 1)]


def test_what_the_configuration_knew_is_told(mixed: Path, tmp_path: Path) -> None:
    config = tmp_path / "detector.yaml"
    config.write_text(LABELS)
    (found,) = objects(invoke("decode", mixed, "--json", "--limit", "1", "--config", config))
    assert found["filled"] == {"sensitivity": "confidential", "role": "engineer"}
    assert found["event"]["actor"]["role"] == "engineer"
    told = invoke("decode", mixed, "--limit", "1", "--config", config)
    assert told.exit_code == 0
    assert "from config sensitivity confidential, role engineer" in " ".join(told.stdout.split())


def test_a_format_that_is_told_is_not_recognised(tmp_path: Path) -> None:
    (found,) = objects(decoded(tmp_path, GOOD["github"], "--json", "--format", "okta"))
    assert (found["format"], found["recognised_by"]) == ("okta", None)
    assert found["reject"]["reason"] == "wrong_shape"
    (inside,) = objects(decoded(tmp_path, b"[%s]" % GOOD["okta"], "--json"))
    assert (inside["format"], inside["recognised_by"]) == ("okta", "`eventType` and `published`")


@pytest.mark.parametrize("name", [name for name in GOOD if name != "auto"])
def test_every_format_can_be_told(name: str, tmp_path: Path) -> None:
    done = decoded(tmp_path, GOOD[name].replace(b"\n", b""))
    assert done.exit_code == 0, done.stderr
    assert f"line 1 {name} by " in " ".join(done.stdout.split())


def test_nothing_from_a_message_reaches_the_terminal_as_it_is(tmp_path: Path) -> None:
    done = decoded(tmp_path, b'{"\\u001b[31m[bold]": 1}')
    assert "\x1b" not in done.stdout
    assert "[bold]" in done.stdout


def test_standard_input_is_read() -> None:
    told = subprocess.run(
        [*DETECTOR, "decode", "-", "--json"], input=GOOD["okta"], capture_output=True, timeout=120, check=False
    )
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout)["format"] == "okta"
