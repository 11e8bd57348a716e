"""Kafka settings -> kafka-python's own, with secrets looked up at the last moment."""

from typing import Any

from kafka.net.sasl.oauth import AbstractTokenProvider

from detector.config import Kafka, Secret


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
        ConfigError: A secret is not where it should be.
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
    files = {"ssl_cafile": security.ca_file, "ssl_certfile": security.cert_file, "ssl_keyfile": security.key_file}
    settings |= {name: str(path) for name, path in files.items() if path is not None}
    if security.key_password is not None:
        settings["ssl_password"] = security.key_password.reveal()
    return settings
