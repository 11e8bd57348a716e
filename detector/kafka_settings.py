"""Kafka settings -> those of kafka-python, or of confluent-kafka, with secrets looked up at the last moment."""

import ssl
import time
from pathlib import Path
from typing import Any, Final

from kafka.net.sasl.oauth import AbstractTokenProvider

from detector.config import Kafka, Security, Topics
from detector.config_base import ConfigError, Secret
from detector.sinks.base import Noun
from detector.sources.kafka_python import KafkaPythonMember
from detector.sources.member import Client

CLIENT_ID: Final = "rogue-agent-detector"
TOKEN_SECONDS: Final = 300.0


class SecretToken(AbstractTokenProvider):  # type: ignore[misc]
    """An OAUTHBEARER token that something else keeps fresh: read anew at each login."""

    def __init__(self, secret: Secret) -> None:
        super().__init__()
        self._secret = secret

    def token(self) -> str:
        """The token as it is now."""
        return self._secret.reveal()


def client_settings(kafka: Kafka) -> dict[str, Any]:
    """Bootstrap and security settings for any of kafka-python's clients.

    Certificates and host names are always verified.

    Raises:
        ConfigError: A secret or a certificate is not where it should be, or can't be used.
    """
    security = kafka.security
    settings: dict[str, Any] = {
        "bootstrap_servers": list(kafka.bootstrap_servers),
        "client_id": CLIENT_ID,
        "security_protocol": security.protocol,
    }
    if security.mechanism is not None:
        settings["sasl_mechanism"] = security.mechanism
    if security.token is not None:
        settings["sasl_oauth_token_provider"] = SecretToken(security.token)
    if security.username is not None and security.password is not None:
        settings["sasl_plain_username"] = security.username
        settings["sasl_plain_password"] = security.password.reveal()
    if security.protocol.endswith("SSL"):
        settings["ssl_context"] = _tls(security)
    return settings


def reading(kafka: Kafka) -> Client:
    """The client that reads topics, and its settings.

    Raises:
        ConfigError: It is not installed, or as `client_settings`.
    """
    settings = client_settings(kafka)
    if kafka.client == "kafka-python":
        return Client(KafkaPythonMember, settings)
    try:
        from detector.sources.confluent import ConfluentMember  # noqa: PLC0415 - the extra `fast` may not be installed
    except ImportError as error:
        raise ConfigError(
            "`kafka.client: confluent-kafka` needs a package that is not here: "
            "pip install 'rogue-agent-detector[fast]', or leave the setting out"
        ) from error
    return Client(ConfluentMember, _confluent(kafka))


def _confluent(kafka: Kafka) -> dict[str, Any]:
    """As `client_settings`, in librdkafka's names; it verifies certificates and host names unless told not to."""
    security = kafka.security
    settings: dict[str, Any] = {
        "bootstrap.servers": ",".join(kafka.bootstrap_servers),
        "client.id": CLIENT_ID,
        "security.protocol": security.protocol,
        "sasl.mechanism": security.mechanism,
        "sasl.username": security.username,
        "sasl.password": security.password.reveal() if security.password is not None else None,
    }
    if security.token is not None:
        token = security.token
        settings["oauth_cb"] = lambda _: (token.reveal(), time.time() + TOKEN_SECONDS)
    if security.protocol.endswith("SSL"):
        settings |= {
            "ssl.ca.location": _path(security.ca_file),
            "ssl.certificate.location": _path(security.cert_file),
            "ssl.key.location": _path(security.key_file),
            "ssl.key.password": security.key_password.reveal() if security.key_password is not None else None,
        }
    return {name: value for name, value in settings.items() if value is not None}


def _path(file: Path | None) -> str | None:
    return str(file) if file is not None else None


def written(topics: Topics) -> dict[Noun, str]:
    """The topic of each kind of item that the service writes."""
    return {
        "signals": topics.findings,
        "alerts": topics.alerts,
        "rejects": topics.rejects,
        "adjustments": topics.adjustments,
    }


def _tls(security: Security) -> ssl.SSLContext:
    """Made here rather than at each connection, so that a file that can't be used is told at the start."""
    doing = f"CA certificates in {security.ca_file}"
    try:
        context = ssl.create_default_context(cafile=str(security.ca_file) if security.ca_file else None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if security.cert_file is not None:
            doing = f"client certificate in {security.cert_file} and its key"
            # Without a password OpenSSL would ask for one on the terminal.
            password = security.key_password.reveal() if security.key_password is not None else ""
            context.load_cert_chain(security.cert_file, security.key_file, password)
    except OSError as error:
        raise ConfigError(f"`kafka.security`: the {doing} can't be used: {error.strerror or error}") from error
    return context
