"""What the store is verified against: anchors that were kept outside of it, and the operator's word on retention."""

from pathlib import Path
from typing import Annotated

import typer

from detector.config import Config
from detector.config_base import ConfigError
from detector.integrity import anchor as anchors
from detector.store.anchors import Anchors, read_anchors
from detector.store.retention import TABLES

AnchorsOption = Annotated[
    list[Path] | None,
    typer.Option("--anchors", help="File of anchors, kept outside of the store; may be given several times."),
]
PublicKeyOption = Annotated[
    Path | None, typer.Option("--public-key", help="Public key of the anchors (PEM, or 64 hexadecimal digits).")
]


def anchors_at_hand(settings: Config, files: list[Path] | None, public_key: Path | None) -> Anchors | None:
    """Anchors and the key to verify them with; None when there are none at hand.

    Raises:
        ConfigError: There are anchors, and no key; or the key is none.
    """
    at_hand = settings.audit.anchor_file
    paths = files or ([at_hand] if at_hand is not None and at_hand.exists() else [])
    if not paths:
        return None
    try:
        if public_key is not None:
            trusted = anchors.public_key(public_key.read_bytes())
        elif settings.audit.key is not None:
            trusted = anchors.private_key(settings.audit.key.reveal().encode()).public_key()
        else:
            raise ConfigError("the anchors can't be verified without a key: give --public-key")
    except ValueError as error:
        raise ConfigError(str(error)) from error
    return read_anchors(paths, trusted)


def kept_days(settings: Config) -> dict[str, int | None]:
    """Days for which the rows of each table are kept after their month; None for ever."""
    kept = settings.store.retention.model_dump()
    return {table.table: kept.get(name) for name, table in TABLES.items()}
