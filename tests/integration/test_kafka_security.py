"""Kafka over TLS and with SASL, on a real broker: what is let in, and what we refuse to speak to."""

import base64
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, get_args

import msgspec
import pytest
from kafka import KafkaAdminClient, KafkaProducer
from kafka.admin import ScramMechanism, UserScramCredentialUpsertion

from deploy.kafka.broker import Broker
from deploy.kafka.install import MissingTool
from deploy.kafka.probe import free_port
from detector.config import Kafka, Security
from detector.config_base import ConfigError
from detector.kafka_open import open_client
from detector.kafka_settings import client_settings, reading
from detector.sinks.base import Batch
from detector.sinks.kafka import KafkaSink
from detector.sources.base import SourceError
from detector.sources.member import ConsumerSettings
from tests.support.certificates import Authority, Pair
from tests.support.kafka import drain, new_topic, unique
from tests.support.kafka_source import Listener, poll_until, source_of
from tests.support.nouns import an_alert

pytestmark = [pytest.mark.kafka, pytest.mark.usefixtures("forgotten_sockets")]

Reader = Literal["kafka-python", "confluent-kafka"]

PASSWORD: Final = "correct-horse-battery"  # noqa: S105 - of a broker that lives for this test
WRONG: Final = "wrong-horse-battery"
MODULE: Final = "org.apache.kafka.common.security"
SETTINGS: Final = """\
listeners=PLAINTEXT://{{host}}:{{port}},CONTROLLER://{{host}}:{{controller_port}},SSL://{{host}}:{ssl},\
MUTUAL://{{host}}:{mutual},SASL_SSL://{{host}}:{sasl},OTHER://{{host}}:{other}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,MUTUAL:SSL,SASL_SSL:SASL_SSL,OTHER:SSL
inter.broker.listener.name=PLAINTEXT
ssl.keystore.type=PEM
ssl.keystore.location={keys}
ssl.truststore.type=PEM
ssl.truststore.location={trusted}
listener.name.mutual.ssl.client.auth=required
listener.name.other.ssl.keystore.type=PEM
listener.name.other.ssl.keystore.location={elsewhere}
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER
listener.name.sasl_ssl.plain.sasl.jaas.config={module}.plain.PlainLoginModule required user_detector="{password}";
listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config={module}.scram.ScramLoginModule required;
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config={module}.scram.ScramLoginModule required;
listener.name.sasl_ssl.oauthbearer.sasl.jaas.config={module}.oauthbearer.OAuthBearerLoginModule required;
"""


class Secured(NamedTuple):
    """A broker with a listener for each way in: its ports by name, and who vouches for it and for us."""

    broker: Broker
    ports: Mapping[str, int]
    ca: Path
    other_ca: Path
    client: Pair
    client_hidden: Pair

    reader: Reader = "kafka-python"

    def kafka(self, listener: str, **security: Any) -> Kafka:
        """The settings of a client that goes in there, and knows the right authority unless told otherwise."""
        security = {"ca_file": self.ca, **security}
        return Kafka(
            bootstrap_servers=(f"127.0.0.1:{self.ports[listener]}",),
            client=self.reader,
            security=Security(protocol="SASL_SSL" if listener == "sasl" else "SSL", **security),
        )


@pytest.fixture(params=get_args(Reader))
def secured(one_secured: Secured, request: pytest.FixtureRequest) -> Secured:
    """The same broker, read by one client and by the other."""
    return one_secured._replace(reader=request.param)


@pytest.fixture(scope="module")
def one_secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("tls")
    authority, stranger = Authority(folder), Authority(folder, "other-ca")
    names = ("ssl", "mutual", "sasl", "other")
    ports = dict(zip(names, {free_port() for _ in range(20)}, strict=False))
    settings = SETTINGS.format(
        **ports,
        keys=authority.issue("broker").both,
        elsewhere=authority.issue("elsewhere", addresses=("127.0.0.2",)).both,
        trusted=authority.ca,
        module=MODULE,
        password=PASSWORD,
    )
    broker = Broker(settings=settings)
    try:
        with broker:
            _let_in(broker)
            hidden = authority.issue("hidden", password=PASSWORD.encode())
            yield Secured(broker, ports, authority.ca, stranger.ca, authority.issue("client"), hidden)
    except MissingTool as missing:
        if os.environ.get("CI") == "true":
            pytest.fail(f"the Kafka tests must run in CI: {missing}", pytrace=False)
        pytest.skip(str(missing))


def _let_in(broker: Broker) -> None:
    admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap)
    try:
        for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
            said = admin.alter_user_scram_credentials(
                [UserScramCredentialUpsertion("detector", mechanism, PASSWORD, iterations=4096)]
            )
            assert said == {"detector": None}
    finally:
        admin.close()


@pytest.fixture(autouse=True)
def passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_PASSWORD", PASSWORD)
    monkeypatch.setenv("TEST_WRONG", WRONG)


def sasl(mechanism: str, env: str = "TEST_PASSWORD") -> dict[str, Any]:
    return {"mechanism": mechanism, "username": "detector", "password": {"env": env}}


def passes(secured: Secured, kafka: Kafka) -> None:
    """An alert written by the sink is read back, and the consumer of the source is let in."""
    topic = new_topic(secured.broker.bootstrap)
    client = client_settings(kafka)
    sink = KafkaSink(client, {"alerts": topic})
    try:
        assert sink.write(Batch(alerts=[an_alert()])) == []
    finally:
        sink.close()
    assert len(drain(secured.broker.bootstrap, topic, 1)) == 1
    listener = Listener()
    with source_of(reading(kafka), topic, unique("group"), listener) as source:
        poll_until(lambda: bool(listener.owned), source)


def refusal(kafka: Kafka) -> str:
    """What a person is told who can't come in, at the source and at the sink; it never holds a password."""
    hasty = ConsumerSettings(start_timeout=3.0 if kafka.client == "kafka-python" else 2.0)
    with pytest.raises(SourceError) as refused, source_of(reading(kafka), "any", "a-group", settings=hasty):
        pass
    said = str(refused.value)
    if kafka.client == "kafka-python":
        with pytest.raises(Exception) as failed:  # noqa: PT011 - the sink's runner takes any
            open_client(KafkaProducer, {**client_settings(kafka), "bootstrap_timeout_ms": 3000})
        said += f" {failed.value}"
    assert PASSWORD not in said
    assert WRONG not in said
    return said


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_a_password_lets_in_over_tls(secured: Secured, mechanism: str) -> None:
    passes(secured, secured.kafka("sasl", **sasl(mechanism)))


def test_a_token_lets_in(secured: Secured, tmp_path: Path) -> None:
    """One without a signature, which the broker takes where nothing else is configured."""
    now = int(time.time())
    parts = ({"alg": "none"}, {"sub": "detector", "iat": now, "exp": now + 600})
    head, claims = (base64.urlsafe_b64encode(msgspec.json.encode(part)).rstrip(b"=").decode() for part in parts)
    (tmp_path / "token").write_text(f"{head}.{claims}.")
    passes(secured, secured.kafka("sasl", mechanism="OAUTHBEARER", token={"file": tmp_path / "token"}))


def test_a_verified_broker_is_used(secured: Secured) -> None:
    passes(secured, secured.kafka("ssl"))


def test_a_client_certificate_lets_in(secured: Secured) -> None:
    passes(secured, secured.kafka("mutual", cert_file=secured.client.cert, key_file=secured.client.key))


def test_the_key_of_a_client_certificate_may_have_a_password(secured: Secured) -> None:
    pair = secured.client_hidden
    how = {"cert_file": pair.cert, "key_file": pair.key}
    passes(secured, secured.kafka("mutual", **how, key_password={"env": "TEST_PASSWORD"}))
    for wrong in ({"key_password": {"env": "TEST_WRONG"}}, {}):
        with pytest.raises(ConfigError, match=r"client certificate in .* and its key can't be used") as refused:
            client_settings(secured.kafka("mutual", **how, **wrong))
        assert WRONG not in str(refused.value)


@pytest.mark.parametrize("ca", ["other", "system"])
def test_a_broker_of_another_authority_is_refused(secured: Secured, ca: str) -> None:
    said = refusal(secured.kafka("ssl", ca_file=secured.other_ca if ca == "other" else None))
    assert "certificate verify failed" in said


def test_a_password_is_not_told_to_a_broker_of_another_authority(secured: Secured) -> None:
    said = refusal(secured.kafka("sasl", ca_file=secured.other_ca, **sasl("PLAIN")))
    assert "certificate verify failed" in said


def test_a_certificate_for_another_address_is_refused(secured: Secured) -> None:
    said = refusal(secured.kafka("other"))
    assert "certificate verify failed" in said
    assert "127.0.0.1" in said


def test_a_client_without_a_certificate_is_kept_out(secured: Secured) -> None:
    refusal(secured.kafka("mutual"))


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
def test_a_wrong_password_is_told_without_it(secured: Secured, mechanism: str) -> None:
    assert "check the user and the password" in refusal(secured.kafka("sasl", **sasl(mechanism, "TEST_WRONG")))


def test_a_plain_listener_is_not_spoken_to_in_tls(secured: Secured) -> None:
    kafka = Kafka(bootstrap_servers=(secured.broker.bootstrap,), security=Security(protocol="SSL", ca_file=secured.ca))
    assert "Handshake failed" in refusal(kafka)


def test_authorities_that_can_not_be_read_are_told_at_the_start(tmp_path: Path) -> None:
    for name, content in (("missing.pem", None), ("empty.pem", b"no certificate")):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        kafka = Kafka(security=Security(protocol="SSL", ca_file=tmp_path / name))
        with pytest.raises(ConfigError, match=rf"CA certificates in .*{name} can't be used"):
            client_settings(kafka)
