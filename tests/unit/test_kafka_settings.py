"""Which client reads Kafka, and with which settings."""

import sys
from pathlib import Path

import pytest

from detector.config import Kafka, Security
from detector.config_base import ConfigError
from detector.kafka_settings import client_settings, reading
from detector.sources.confluent import ConfluentMember
from detector.sources.kafka_python import KafkaPythonMember


def test_kafka_python_reads_unless_another_is_asked_for() -> None:
    assert reading(Kafka()) == (KafkaPythonMember, client_settings(Kafka()))
    assert reading(Kafka(client="confluent-kafka")).member is ConfluentMember


def test_a_client_that_is_not_installed_is_told_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "detector.sources.confluent")
    monkeypatch.delitem(sys.modules, "detector.sources.confluent_client")
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    with pytest.raises(ConfigError, match=r"pip install 'rogue-agent-detector\[fast\]', or leave the setting out"):
        reading(Kafka(client="confluent-kafka"))
    assert reading(Kafka()).member is KafkaPythonMember


def test_the_settings_are_put_into_the_words_of_librdkafka(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_PASSWORD", "secret")
    plain = Kafka(client="confluent-kafka", bootstrap_servers=("a:1", "b:2"))
    assert reading(plain).settings == {
        "bootstrap.servers": "a:1,b:2",
        "client.id": "rogue-agent-detector",
        "security.protocol": "PLAINTEXT",
    }
    security = Security(
        protocol="SASL_PLAINTEXT", mechanism="SCRAM-SHA-512", username="u", password={"env": "TEST_PASSWORD"}
    )
    settings = reading(Kafka(client="confluent-kafka", security=security)).settings
    assert {name: settings[name] for name in settings if name.startswith("sasl.")} == {
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "u",
        "sasl.password": "secret",
    }


def test_a_token_is_read_anew_at_each_log_in(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("one")
    security = Security(protocol="SASL_PLAINTEXT", mechanism="OAUTHBEARER", token={"file": file})
    told = reading(Kafka(client="confluent-kafka", security=security)).settings["oauth_cb"]
    assert told("")[0] == "one"
    file.write_text("two")
    assert told("")[0] == "two"
