"""Suppression from the configuration to the alert: marked where it is found, written, and told to nobody."""

import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from detector import assembly, signals
from detector.alerts import Alert
from detector.config import Config
from detector.decoding import Decoder
from detector.events import Destination, Event, Zone
from detector.findings import Finding
from detector.replay import Replay
from detector.sinks.files import NdjsonSink
from detector.sources.files import FileSource
from tests.support.events import START, envelope, event

SAMPLE = Path(__file__).parents[2] / "sample_logs" / "inbox_deletion" / "events.ndjson.gz"
PARTNER = Config.model_validate({"destinations": {"approved": [".partner.example"]}})
HOUR = 3600.0


def muted(**given: Any) -> Config:
    """The defaults with one mute, which holds for 30 days from the start unless told otherwise."""
    order = {"name": "known", "reason": "a test", "owner": "ops", "expires": START + timedelta(days=30), **given}
    return Config.model_validate({"mutes": [order]})


def sent(hour: float, host: str, count: int, zone: Zone = "external") -> Event:
    """A call with a payload."""
    to = Destination(host=host, zone=zone)
    return event(hour * HOUR, kind="transfer", action="http.post", destination=to, bytes_out=count)


def week() -> list[Event]:
    """A week at two hosts of the house."""
    return [sent(hour, f"api-{hour % 2}.corp.example", 900, "internal") for hour in range(120)]


def play(config: Config, events: Sequence[Event]) -> tuple[list[Finding], list[Alert]]:
    """What both stages make of events."""
    pipeline, findings, alerts = assembly.pipeline(config), [], []
    for offset, item in enumerate(events):
        step = pipeline.step(envelope(item, offset))
        assert step.verdict == "scored"
        findings += step.findings
        alerts += step.alerts
    return findings, alerts


def of(findings: Sequence[Finding], detector: str) -> list[Finding]:
    return [finding for finding in findings if finding.detector == detector]


def test_a_payload_to_a_new_place_is_an_alert_unless_the_place_is_approved() -> None:
    events = [*week(), sent(121, "in.partner.example", 50_000)]
    (loud,) = of(play(Config(), events)[0], "new_endpoint")
    assert (loud.severity, loud.suppressed, loud.evidence["zone"]) == ("SEV3", None, "external")
    findings, alerts = play(PARTNER, events)
    (quiet,) = of(findings, "new_endpoint")
    assert (quiet.id, quiet.severity, quiet.suppressed) == (loud.id, "SEV3", "approved:.partner.example")
    assert quiet.evidence["zone"] == "approved"
    assert not any("new_endpoint" in alert.detectors for alert in alerts)


def test_a_bulk_transfer_to_an_approved_place_is_found_all_the_same() -> None:
    findings, alerts = play(PARTNER, [*week(), sent(121, "in.partner.example", 2_000_000_000)])
    assert [finding.suppressed for finding in of(findings, "transfer_rate")] == [None]
    assert alerts[-1].detectors == ("transfer_rate",)


def test_what_goes_to_an_approved_place_counts_as_inside_however_few_use_it() -> None:
    """A place that only its source calls approved is a stranger's while nobody in the fleet uses it."""
    used = [sent(hour, f"api-{hour}.corp.example", 900, "internal") for hour in range(120)]
    told: Sequence[tuple[Config, Zone]] = (
        (PARTNER, "external"),
        (PARTNER, "approved"),
        (Config(), "approved"),
        (Config(), "external"),
    )
    ways = []
    for config, zone in told:
        findings, _ = play(config, [*used, sent(122, "in.partner.example", 2_000_000_000, zone)])
        (bulk,) = of(findings, "transfer_rate")
        ways.append(bulk.evidence["channel"])
    assert ways == ["bytes inside", "bytes inside", "bytes outside", "bytes outside"]


def test_an_approved_place_is_learnt_and_what_is_muted_is_not() -> None:
    events = [*week(), *(sent(121 + 30 * again, "in.partner.example", 50_000) for again in range(3))]
    short = muted(detectors=["new_endpoint"], expires=START + timedelta(hours=160))
    approved, quiet = (of(play(config, events)[0], "new_endpoint") for config in (PARTNER, short))
    assert [finding.suppressed for finding in approved] == ["approved:.partner.example"], "then it is known"
    assert [finding.suppressed for finding in quiet] == ["mute:known", "mute:known", None]


def test_the_event_is_stored_as_its_source_told_it() -> None:
    item = envelope(sent(0, "in.partner.example", 50_000))
    before = msgspec.structs.replace(item)
    assembly.pipeline(PARTNER).step(item)
    assert item == before


@pytest.mark.parametrize("mute", [{"principals": ["mail-assistant*"], "up_to": "SEV0"}])
def test_a_mute_changes_no_finding_but_for_its_mark(mute: dict[str, Any], tmp_path: Path) -> None:
    outputs = []
    forever = {"expires": "9999-01-01T00:00:00Z"}
    for run, config in enumerate((Config(), muted(**mute, **forever), muted(**mute, **forever))):
        findings, alerts = tmp_path / f"{run}-findings", tmp_path / f"{run}-alerts"
        with NdjsonSink(str(findings), str(alerts)) as sink:
            Replay(assembly.pipeline(config), Decoder("native"), [sink]).run(FileSource(str(SAMPLE), time.time))
        outputs.append((findings.read_bytes(), alerts.read_bytes()))
    loud, quiet, again = outputs
    assert quiet == again
    told, kept = ([msgspec.json.decode(line, type=Finding) for line in out[0].splitlines()] for out in (loud, quiet))
    under = told[0].config
    assert {finding.config for finding in told} == {under} != {kept[0].config}, "another configuration, and it is told"
    assert [msgspec.structs.replace(finding, suppressed=None, config=under) for finding in kept] == told
    marks = {(finding.principal.startswith("mail-assistant"), finding.suppressed) for finding in kept}
    assert marks == {(True, "mute:known"), (False, None)}
    assert b"went on after it was told to stop" in loud[1]
    assert b"went on after it was told to stop" not in quiet[1]


def test_correlation_in_another_process_makes_the_same_of_what_it_is_sent() -> None:
    events = [*week(), sent(121, "in.partner.example", 50_000), sent(122, "drop.example", 60_000)]
    findings, alerts = play(PARTNER, events)
    far = assembly.correlator(PARTNER)
    sent_over = [signals.decode(signals.encode(finding)) for finding in findings]
    assert sent_over == findings
    assert [a for f in sent_over if isinstance(f, Finding) for a in far.step(f).alerts] == alerts
