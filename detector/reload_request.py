"""Asking a running service to reload its configuration."""

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import httpx

from detector.config import Metrics
from detector.config_base import ConfigError
from detector.monitoring import RELOAD_PATH

# Longer than the service waits for its stages.
PATIENCE_SECONDS: Final = 30.0

_ANY: Final[Mapping[str, str]] = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - not listened on


def address(metrics: Metrics) -> str:
    """Where the service of this configuration listens, as seen from its own machine.

    Raises:
        ConfigError: The configuration leaves the port to chance.
    """
    if metrics.port == 0:
        raise ConfigError("`metrics.port` is 0, so the service took any port: give its address with --url")
    host = _ANY.get(metrics.address, metrics.address)
    scheme = "https" if metrics.cert_file is not None else "http"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{metrics.port}"


def ask(url: str, metrics: Metrics, ca_file: Path | None = None) -> tuple[bool, str]:
    """Whether the service reloaded, and what it says.

    Args:
        url: Its address.
        metrics: Its settings: the token that it asks for, the certificate that it shows.
        ca_file: Certificates (PEM) to verify it with besides the system's; its own is known.

    Raises:
        ConfigError: It does not answer, is no service that can be asked, or has not changed over yet.
    """
    headers = {} if metrics.token is None else {"Authorization": f"Bearer {metrics.token.reveal()}"}
    try:
        tls = ssl.create_default_context()
        for known in (metrics.cert_file, ca_file):
            if known is not None:
                tls.load_verify_locations(known)
        answer = httpx.post(
            f"{url.rstrip('/')}{RELOAD_PATH}", headers=headers, verify=tls, timeout=PATIENCE_SECONDS, trust_env=False
        )
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise ConfigError(
            f"the service at {url} does not answer ({error}): does it run, is it there (--url)?"
        ) from error
    if answer.status_code == httpx.codes.ACCEPTED:
        raise ConfigError(f"{url}: {answer.text.strip()}")
    if answer.status_code not in {httpx.codes.OK, httpx.codes.INTERNAL_SERVER_ERROR}:
        said = answer.text.strip().splitlines()[:1]
        raise ConfigError(f"{url} did not reload: {answer.status_code} {' '.join(said) or answer.reason_phrase}")
    return answer.status_code == httpx.codes.OK, answer.text.strip()
