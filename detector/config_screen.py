"""The effective configuration as a person or a program reads it: each value, and where it came from."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec
import yaml
from rich.table import Table

from detector.config import Config
from detector.config_file import Loaded
from detector.config_paths import Path, dotted, leaves
from detector.config_versions import effective, short_hash
from detector.screens import plain

SCHEMA: Final = "https://json-schema.org/draft/2020-12/schema"

_WIDE: Final = 10_000


def settings_table(loaded: Loaded) -> Table:
    """Every setting by its dotted name, its value, and where that came from."""
    table = Table(title="Effective configuration", title_justify="left")
    for head in ("Setting", "Value", "From"):
        table.add_column(head, overflow="fold")
    for path, value in leaves(effective(loaded.config), within_lists=True):
        origin = loaded.origin(path)
        table.add_row(
            plain(dotted(path)), plain(_flow(value)), plain(origin or "default"), style=None if origin else "dim"
        )
    return table


def as_json(loaded: Loaded) -> bytes:
    """The same for programs: {"config": …, "hash": as findings carry it, "from": {setting: place}}."""
    plain_config = effective(loaded.config)
    origins = {dotted(path): loaded.origin(path) for path, _ in leaves(plain_config, within_lists=True)}
    told = {
        "config": plain_config,
        "hash": short_hash(loaded.config),
        "from": {name: origin for name, origin in origins.items() if origin is not None},
    }
    return msgspec.json.format(msgspec.json.encode(told), indent=2) + b"\n"


def as_yaml(loaded: Loaded) -> str:
    """The same as a file that gives this configuration again; what is no default is followed by its place."""
    plain_config = effective(loaded.config)
    if plain_config["sources"]:
        del plain_config["format"]  # that of the one topic which is not read
    return "\n".join(_lines(plain_config, loaded, ())) + "\n"


def _lines(section: Mapping[str, Any], loaded: Loaded, path: Path) -> Iterator[str]:
    indent = "  " * len([part for part in path if isinstance(part, str)])
    for name, value in section.items():
        below = (*path, name)
        if isinstance(value, Mapping) and value:
            yield f"{indent}{_flow(name)}:"
            yield from _lines(value, loaded, below)
        elif isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
            yield f"{indent}{_flow(name)}:"
            for index, item in enumerate(value):
                first, *rest = _lines(item, loaded, (*below, index))
                yield f"{first[: len(indent)]}- {first[len(indent) + 2 :]}"
                yield from rest
        else:
            origin = loaded.origin(below)
            yield f"{indent}{_flow(name)}: {_flow(value)}" + (f"  # {origin}" if origin is not None else "")


def on_claimed_roles(config: Config, now: datetime) -> str | None:
    """What to say of overrides and mutes that a role alone brings about, which the log may give to anybody.

    None if there is none of them: each names principals, or only roles that a label pins, or has expired.
    """
    pinned = config.labels.pinned
    claimed = [
        f"{kind} {one.name}"
        for kind, named in (("override", config.overrides), ("mute", config.mutes))
        for one in named
        if one.roles and not one.principals and not pinned.issuperset(one.roles)
        if one.expires is None or one.expires > now
    ]
    if not claimed:
        return None
    return (
        f"{', '.join(claimed)}: whoever writes the log says who is of these `roles`: give `principals` too, or hold "
        "the roles fast in `labels.principals` (`pin: true`)"
    )


def _flow(value: Any) -> str:
    """A value in a line, as YAML writes it."""
    text = yaml.safe_dump(value, default_flow_style=True, width=_WIDE, allow_unicode=True, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")


def schema() -> bytes:
    """The JSON Schema (draft 2020-12) of the configuration, for editors: names, kinds, bounds, defaults, meanings."""
    told = {"$schema": SCHEMA, **Config.model_json_schema(), "title": "Configuration of the rogue agent detector"}
    return msgspec.json.format(msgspec.json.encode(told), indent=2) + b"\n"
