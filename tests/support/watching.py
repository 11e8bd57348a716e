"""deploy/alertmanager for a test: the same file, with a receiver on loopback and tokens that live for the test."""

from pathlib import Path
from typing import Final

from tests.support.prometheus import DEPLOY

RECEIVERS: Final = ("page", "ticket", "digest", "heartbeat")
_SOC: Final = "https://soc.example"


def alertmanager_config(folder: Path, hook: str) -> str:
    """The deployed configuration with `hook` in place of the SOC's address; writes the tokens beside it."""
    secrets = folder / "secrets"
    secrets.mkdir()
    for name in RECEIVERS:
        (secrets / f"{name}-token").write_text(token(name), encoding="utf-8")
    text = (DEPLOY / "alertmanager/alertmanager.yml").read_text(encoding="utf-8")
    assert text.count(f"url: {_SOC}/hooks/") == len(RECEIVERS)
    return text.replace(f"url: {_SOC}/", f"url: {hook}/")


def token(receiver: str) -> str:
    """The token that a receiver asks for in tests."""
    return f"bearer-for-the-{receiver}"
