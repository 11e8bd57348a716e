"""Alerts as OCSF through a real broker, and beside them the findings as correlation reads them."""

import msgspec
import pytest

from detector import signals
from detector.renderings import RENDERINGS
from detector.sinks.base import Batch
from detector.sinks.kafka import KafkaSink
from tests.support.kafka import drain, new_topic
from tests.support.nouns import a_finding, an_alert
from tests.support.ocsf import problems

pytestmark = pytest.mark.kafka


def test_only_alerts_are_written_as_ocsf(kafka_bootstrap: str) -> None:
    names = [new_topic(kafka_bootstrap, name) for name in ("signals", "alerts")]
    sink = KafkaSink(
        {"bootstrap_servers": kafka_bootstrap},
        {"signals": names[0], "alerts": names[1]},
        encode_alert=RENDERINGS["ocsf"],
    )
    assert sink.write(Batch(alerts=[an_alert(1)], signals=[a_finding(1)])) == []
    sink.close()
    (finding,), (alert,) = (drain(kafka_bootstrap, name, 1) for name in names)
    assert signals.decode(finding.value) == a_finding(1)
    assert alert.key == b"a-1"
    assert alert.value == RENDERINGS["ocsf"](an_alert(1))
    assert problems(msgspec.json.decode(alert.value)) == []
