"""Statements of a schema for a cluster: the same tables on every replica, replicated between them.

A cluster here is one shard with as many replicas as it has: each holds all rows.
"""

import re
from typing import Final

from detector.store.errors import StoreError

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,127}")

# What comes before ON CLUSTER in each kind of statement.
_PLACES: Final = tuple(
    re.compile(pattern)
    for pattern in (
        r"CREATE DATABASE (IF NOT EXISTS )?\w+",
        r"CREATE TABLE (IF NOT EXISTS )?\w+",
        r"CREATE (OR REPLACE )?(MATERIALIZED )?VIEW (IF NOT EXISTS )?\w+",
        r"ALTER TABLE \w+",
        r"(DROP|TRUNCATE) (TABLE|VIEW) (IF EXISTS )?\w+",
        r"EXCHANGE TABLES \w+ AND \w+",
    )
)
_ENGINE: Final = re.compile(r"\bENGINE = (\w*MergeTree)\b")
_WINDOW: Final = "non_replicated_deduplication_window"


def check_name(cluster: str) -> str:
    """The name of a cluster, as it is.

    Raises:
        ValueError: It can't be one.
    """
    if not _NAME.fullmatch(cluster):
        raise ValueError(f"not a name for a cluster: {cluster!r}; use letters, digits, underscores, dots and dashes")
    return cluster


def on_cluster(statement: str, cluster: str | None) -> str:
    r"""The statement as it is to be run: as it is, or on every replica of a cluster, with replicated tables.

    What writes rows is run once: replication brings them to the others.

    >>> on_cluster("CREATE TABLE t\n(a UInt8)\nENGINE = MergeTree\nORDER BY a", "main")
    'CREATE TABLE t ON CLUSTER `main`\n(a UInt8)\nENGINE = ReplicatedMergeTree\nORDER BY a'

    Raises:
        StoreError: It is of a kind that is not known here.
    """
    text = statement.lstrip()
    if cluster is None or text.startswith("INSERT INTO "):
        return statement
    place = next((match for pattern in _PLACES if (match := pattern.match(text))), None)
    if place is None:
        raise StoreError(f"can't run this on a cluster: {text[:60]!r} …")
    on = f"{text[: place.end()]} ON CLUSTER `{check_name(cluster)}`{text[place.end() :]}"
    return _ENGINE.sub(r"ENGINE = Replicated\1", on).replace(_WINDOW, "replicated_deduplication_window")
