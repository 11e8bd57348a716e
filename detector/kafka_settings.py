"""Kafka settings -> kafka-python's own, with secrets looked up at the last moment."""

import ssl
from typing import Any

from kafka.net.sasl.oauth import AbstractTokenProvider

from detector.config import Kafka, Security, Topics
from detector.config_base import ConfigError, Secret
from detector.sinks.base import Noun


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
        "client_id": "rogue-agent-detector",
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
