"""HTTP settings -> options of the sinks' client, with secrets looked up at the last moment."""

import ssl
from pathlib import Path

from detector.config_base import ConfigError, Secret
from detector.sinks.http import HttpOptions


def http_options(ca_file: Path | None, token: Secret | None = None) -> HttpOptions:
    """Certificates are always verified: by the authorities in `ca_file`, or by those that the system knows.

    Raises:
        ConfigError: The secret is not where it should be, or the file holds no certificates.
    """
    headers = {"Authorization": f"Bearer {token.reveal()}"} if token is not None else {}
    if ca_file is None:
        return HttpOptions(headers=headers)
    try:
        return HttpOptions(headers=headers, tls=ssl.create_default_context(cafile=str(ca_file)))
    except OSError as error:
        raise ConfigError(f"{ca_file} holds no CA certificates that can be read: {error.strerror or error}") from error
