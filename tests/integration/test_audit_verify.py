"""`detector audit verify` and `detector audit key`, as a person or a script uses them."""

import json
import stat
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from detector.cli import app
from detector.integrity.anchor import Signer, private_key, public_key
from detector.sinks.anchor_places import AnchorFile
from detector.sinks.base import Batch
from detector.store.client import Store
from tests.support.linked import Linked, everything, mutate, rows

pytestmark = pytest.mark.chdb


def detector(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    result = detector("audit", "key", tmp_path / "anchor.pem")
    assert result.exit_code == 0
    return tmp_path / "anchor.pem"


@pytest.fixture
def anchors(embedded_store: Store, keys: Path, tmp_path: Path) -> Path:
    """The file of anchors of a store that is whole."""
    writer = Linked(embedded_store)
    writer.signer = Signer(private_key(keys.read_bytes()))
    path = tmp_path / "anchors.ndjson"
    everything(writer)
    AnchorFile(path).put(writer.anchor())
    return path


def verify(url: str, *arguments: str | Path) -> Result:
    return detector("audit", "verify", "--store", url, *arguments)


def test_a_key_is_private_and_its_other_half_is_beside_it(keys: Path) -> None:
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600
    public = public_key(keys.with_name("anchor.pem.pub").read_bytes())
    assert private_key(keys.read_bytes()).public_key().public_bytes_raw() == public.public_bytes_raw()
    before = keys.read_bytes()
    again = detector("audit", "key", keys)
    assert again.exit_code == 1
    assert "never written over" in str(again.exception)
    assert keys.read_bytes() == before


def test_a_store_that_is_whole(embedded_url: str, anchors: Path, keys: Path) -> None:
    result = verify(embedded_url, "--anchors", anchors, "--public-key", keys.with_name("anchor.pem.pub"), "--strict")
    assert result.exit_code == 0, result.output
    assert "Nothing was altered: 48 rows are as written." in result.output
    assert "anchors that fit" in result.output
    assert "note" not in result.output


def test_without_anchors_it_says_what_that_is_worth(embedded_url: str, anchors: Path) -> None:
    assert anchors.exists()
    result = verify(embedded_url)
    assert result.exit_code == 0
    assert "no anchors were given" in result.output
    assert verify(embedded_url, "--strict").exit_code == 1


def test_a_breach_is_told_and_is_status_1(embedded_store: Store, embedded_url: str, anchors: Path) -> None:
    assert anchors.exists()
    mutate(embedded_store, "ALTER TABLE events_data UPDATE bytes_out = 9 WHERE id = 'e13'")
    result = verify(embedded_url)
    assert result.exit_code == 1
    assert "1 breach. The first: link 3 of w-1 covers 10 rows, read from agent-events/0" in " ".join(
        result.output.split()
    )
    told = json.loads(verify(embedded_url, "--format", "json").stdout)
    assert [problem["what"] for problem in told["problems"]] == ["altered"]
    assert told["rows"]["events_data"] == 30


def test_an_anchor_with_another_key_is_a_breach(embedded_url: str, anchors: Path, tmp_path: Path) -> None:
    detector("audit", "key", tmp_path / "other.pem")
    result = verify(embedded_url, "--anchors", anchors, "--public-key", tmp_path / "other.pem.pub")
    assert result.exit_code == 1
    assert "is not signed with this key" in " ".join(result.output.split())


def test_the_configuration_names_the_anchors_and_the_key(embedded_url: str, anchors: Path, keys: Path) -> None:
    config = anchors.with_name("detector.yaml")
    config.write_text(yaml.safe_dump({
        "store": {"url": embedded_url},
        "audit": {"key": {"file": str(keys)}, "anchor_file": str(anchors)},
    }))  # fmt: skip
    result = detector("audit", "verify", "-c", config, "--strict")
    assert result.exit_code == 0, result.output
    assert "no anchors were given" not in result.output


def test_what_is_past_the_configured_retention_may_be_gone(
    embedded_store: Store, embedded_url: str, anchors: Path
) -> None:
    mutate(embedded_store, "DELETE FROM findings_data WHERE 1")
    config = anchors.with_name("detector.yaml")
    config.write_text(yaml.safe_dump({"store": {"url": embedded_url, "retention": {"findings": 1}}}))
    assert detector("audit", "verify", "-c", config).exit_code == 0
    assert verify(embedded_url).exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--store", "chdb:///nowhere/at/all"), "nowhere"),
        (("--store", "nonsense"), "not the URL of a store"),
        ((), "no store"),
        (("--anchors", "no-such-file"), "public-key"),
    ],
)
def test_what_can_not_be_verified_is_status_2(
    embedded_url: str, arguments: tuple[str, ...], said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    given = arguments if "--store" in arguments or not arguments else ("--store", embedded_url, *arguments)
    result = detector("audit", "verify", *given)
    assert result.exit_code == 2
    assert said in " ".join((result.output + capfd.readouterr().err).split())


def test_since_is_told_as_a_time(embedded_store: Store, embedded_url: str, anchors: Path) -> None:
    assert anchors.exists()
    writer = Linked(embedded_store, "w-2")
    writer.clock.now += 86400
    writer.write(Batch(rows([77])))
    told = json.loads(verify(embedded_url, "--format", "json", "--since", "2026-03-03").stdout)
    assert told["rows"] == {"events_data": 1}
