"""`detector store …` as an operator meets it: holds and retention of an embedded store."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from detector.cli import app
from detector.integrity.anchor import new_key, read
from detector.sinks.clickhouse import ClickHouseSink
from detector.store.client import Store
from detector.store.verify import Verification
from tests.support.nouns import T0, a_finding, an_alert, an_envelope

pytestmark = pytest.mark.chdb

OLD = T0 - timedelta(days=800)


@pytest.fixture
def url(embedded_store: Store, embedded_path: Path) -> str:
    """The URL of a store with an old incident in it."""
    sink = ClickHouseSink(embedded_store.client, database=embedded_store.database)
    sink.write_events([(an_envelope(number, time=OLD), "scored") for number in range(5)])
    sink.write_findings([a_finding(1, time=OLD)])
    sink.write_alerts([an_alert(1, opened_at=OLD, detected_at=OLD, updated_at=OLD)])
    return f"chdb://{embedded_path}?database={embedded_store.database}"


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def detector(*arguments: str, status: int = 0) -> str:
    """What it says; errors that `main` would show come as their text."""
    result = CliRunner().invoke(app, ["store", *arguments])
    said = f"{result.output}{result.exception if result.exit_code else ''}"
    assert result.exit_code == status, said
    return " ".join(said.split())


def count(store: Store) -> int:
    store.client.command("OPTIMIZE TABLE events_data FINAL")
    return int(store.client.query("SELECT count() FROM events").result_rows[0][0])


def test_a_hold_from_its_placing_to_its_release(embedded_store: Store, url: str, tmp_path: Path) -> None:
    config = tmp_path / "detector.yaml"
    config.write_text(yaml.safe_dump({"store": {"url": url, "retention": {"events": 30, "findings": 30}}}))
    before = ("--url", url, "--operator", "ann")
    said = detector("hold", "a-1", "--reason", "Case 7", *before)
    assert "is in force on the incident a-1 events: 5 rows held now findings: 1 row held now alerts: 1 row held" in said
    hold = re.search(r"hold (h-\w+)", said)
    assert hold is not None
    assert "no row is covered by it yet" in detector("hold", "--principal", "nobody", "--reason", "x", *before)

    said = detector("migrate", "--config", str(config))
    assert "events: a month's are kept for 30 days after it is over" in said
    assert count(embedded_store) == 5

    said = detector("holds", "--url", url)
    assert hold[1] in said
    assert "the incident a-1" in said
    assert "nobody" in said
    assert "Case 7" in said

    assert "events: 5 rows held no longer" in detector("release", hold[1], "--reason", "over", "--config", str(config))
    assert count(embedded_store) == 0
    assert hold[1] not in detector("holds", "--url", url)
    assert hold[1] in detector("holds", "--all", "--url", url)


def test_holds_are_on_record_and_covered_by_links(embedded_store: Store, url: str) -> None:
    detector("hold", "--between", "2020-01-01", "2030-01-01T12:00+02:00", "--reason", "Case 7", "--url", url)
    rows = embedded_store.client.query(
        "SELECT action, subject, reason, details, config != '', written_in > 0 FROM operator_actions"
    ).result_rows
    until = '"until":"2030-01-01T10:00:00Z"'
    assert rows == [
        ("hold", "span", "Case 7", rows[0][3], 1, 1),
    ]
    assert until in rows[0][3].replace(" ", "")
    assert embedded_store.client.query("SELECT config FROM config_versions").result_rows, "and what was in force"
    assert not Verification(embedded_store, 2**50).run().problems


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("hold", "a-9"), "the store has no alert 'a-9'"),
        (("hold",), "say what to hold"),
        (("hold", "a-1", "--principal", "bot"), "give it alone"),
        (("hold", "--between", "2026-01-02", "2026-01-01"), "the span is empty"),
        (("hold", "--between", "yesterday", "2026-01-01"), "'yesterday' is no time"),
        (("release", "h-9"), "there is no hold h-9: see `detector store holds`"),
    ],
)
def test_what_can_not_be_done_is_told(url: str, arguments: tuple[str, ...], why: str) -> None:
    result = CliRunner().invoke(app, ["store", *arguments, "--reason", "x", "--url", url])
    assert result.exit_code
    assert why in " ".join(f"{result.output} {result.exception}".replace("│", "").split())


def test_a_hold_is_released_once(url: str) -> None:
    said = detector("hold", "a-1", "--reason", "x", "--url", url)
    (hold,) = re.findall(r"hold (h-\w+)", said)
    detector("release", hold, "--reason", "over", "--url", url)
    assert "was released at" in detector("release", hold, "--reason", "over", "--url", url, status=1)


def test_a_hold_needs_a_reason(url: str) -> None:
    assert "Missing option '--reason'" in detector("hold", "a-1", "--url", url, status=2)


def test_a_hold_on_another_store_than_the_configured_one_is_not_anchored(
    embedded_store: Store, url: str, tmp_path: Path
) -> None:
    """Anchors tell of one store: those of another would look like a chain that was cut off."""
    key, anchors = tmp_path / "key.pem", tmp_path / "anchors.ndjson"
    key.write_bytes(new_key()[0])
    audit = {"key": {"file": str(key)}, "anchor_file": str(anchors)}
    for name, store in (("same", url), ("other", f"{url}_2")):
        (tmp_path / name).write_text(yaml.safe_dump({"store": {"url": store}, "audit": audit}))
    hold = ("hold", "--principal", "bot", "--reason", "x", "--url", url)
    assert "not anchored: the anchors that the configuration names are of" in detector(
        *hold, "--config", str(tmp_path / "other")
    )
    assert not anchors.exists()
    assert "not anchored" not in detector(*hold, "--config", str(tmp_path / "same"))
    kept = [read(line).anchor for line in anchors.read_bytes().splitlines()]
    chains = embedded_store.client.query("SELECT chain FROM integrity GROUP BY chain ORDER BY max(written_at) DESC")
    assert [anchor.chain for anchor in kept] == [chains.result_rows[0][0]]
