"""Where alerts go as OCSF: files, a webhook, a replay; and the settings that say so."""

import hashlib
import hmac
import subprocess
from pathlib import Path
from typing import Final

import msgspec
import pytest

from detector.alerts import Alert
from detector.config_base import ConfigError
from detector.config_file import parse
from detector.findings import Finding
from detector.renderings import RENDERINGS
from detector.renderings.ocsf import encode
from detector.sinks.base import Batch
from detector.sinks.files import NdjsonSink
from detector.sinks.webhook import WebhookSink
from tests.support.nouns import a_finding, an_alert
from tests.support.ocsf import checked
from tests.support.receiver import running_receiver
from tests.support.service import DETECTOR

SAMPLE: Final = Path(__file__).parents[2] / "sample_logs" / "inbox_deletion" / "events.ndjson.gz"


def test_every_rendering_is_one_line_of_json() -> None:
    for rendering in RENDERINGS.values():
        for item in (a_finding(7), an_alert(reason="two\nlines")):
            raw = rendering(item)
            assert b"\n" not in raw
            assert isinstance(msgspec.json.decode(raw), dict)


def test_a_file_holds_findings_and_alerts_as_ocsf(tmp_path: Path) -> None:
    paths = str(tmp_path / "findings"), str(tmp_path / "alerts")
    with NdjsonSink(*paths, encode=RENDERINGS["ocsf"]) as sink:
        sink.write(Batch(findings=[a_finding(7), a_finding(7)], alerts=[an_alert(1), an_alert(1, version=2)]))
    lines = [(tmp_path / name).read_bytes().splitlines() for name in ("findings", "alerts")]
    assert [len(found) for found in lines] == [1, 2]  # repeats are told by their ids as ever
    for line in (*lines[0], *lines[1]):
        checked(msgspec.json.decode(line))


def test_the_webhook_signs_what_it_sends() -> None:
    alert = an_alert(7, version=3)
    with running_receiver() as receiver:
        sink = WebhookSink(receiver.url, b"key", clock=lambda: 1_770_000_000.0, encode=RENDERINGS["ocsf"])
        assert sink.write(Batch(alerts=[alert])) == []
        sink.close()
        (request,) = receiver.requests
    assert request.body == encode(alert)
    digest = hmac.new(b"key", b"1770000000." + request.body, hashlib.sha256).hexdigest()
    assert request.headers["x-detector-signature"] == f"sha256={digest}"
    assert request.headers["x-detector-delivery"] == "a-7:3"


def test_a_replay_hands_out_the_same_as_ocsf(tmp_path: Path) -> None:
    def replayed(form: str) -> list[list[bytes]]:
        outs = tmp_path / f"{form}-findings", tmp_path / f"{form}-alerts"
        options = ["--alert-format", form, "--findings", str(outs[0]), "--alerts", str(outs[1]), "--quiet"]
        subprocess.run([*DETECTOR, "replay", str(SAMPLE), *options], check=True, timeout=120)
        return [out.read_bytes().splitlines() for out in outs]

    findings, alerts = replayed("native")
    assert findings
    assert alerts
    made = replayed("ocsf")
    assert made == [
        [encode(msgspec.json.decode(line, type=Finding)) for line in findings],
        [encode(msgspec.json.decode(line, type=Alert)) for line in alerts],
    ]
    for line in (*made[0], *made[1]):
        checked(msgspec.json.decode(line))


def test_the_settings_name_a_form_there_is() -> None:
    config = parse("kafka: {alert_format: ocsf}\nwebhook: {url: http://a.example, secret: {env: X}, format: ocsf}", "c")
    assert config.kafka.alert_format == "ocsf"
    assert config.webhook is not None
    assert config.webhook.format == "ocsf"
    with pytest.raises(ConfigError, match="'native' or 'ocsf'"):
        parse("kafka: {alert_format: cef}", "c")
