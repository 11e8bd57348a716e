"""Schema migrations: numbered .sql files, applied in order, once, and never changed afterwards."""

import hashlib
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

import msgspec
from clickhouse_connect.driver.exceptions import ClickHouseError, Error

from detector.store.client import Store
from detector.store.cluster import on_cluster
from detector.store.errors import StoreError, StoreUnavailable, failure

_FILE_NAME: Final = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
_RECORDED: Final = """
SELECT count() FROM system.tables WHERE database = {database:String} AND name = 'schema_migrations'
"""
_RECORD: Final = """
CREATE TABLE IF NOT EXISTS schema_migrations
(
    version UInt32 COMMENT 'Number of the file',
    name String COMMENT 'Name of the file, without number and ending',
    sha256 String COMMENT 'Of the bytes of the file as it was applied',
    applied_at DateTime64(3, 'UTC') COMMENT 'When it was applied, by the clock of who applied it'
)
ENGINE = ReplacingMergeTree
ORDER BY version
COMMENT 'The schema migrations that were applied to this database'
"""

# Its being there is the lock. Two processes that start at once would copy and exchange one table between them.
_LOCK: Final = """
CREATE TABLE schema_migrating
(
    since DateTime('UTC') COMMENT 'Nothing is ever written here'
)
ENGINE = MergeTree
ORDER BY since
COMMENT 'Is there for as long as a process brings the schema up to date'
"""
_ALREADY_THERE: Final = 57
_NOT_ALLOWED: Final = 497


class Migration(msgspec.Struct, frozen=True):
    """One numbered file: `sha256` is of its bytes, `sql` its text."""

    version: int
    name: str
    sha256: str
    sql: str

    @property
    def label(self) -> str:
        """Number and name, as in the file's name."""
        return f"{self.version:04}_{self.name}"


def packaged() -> Traversable:
    """The folder of migrations that comes with the program."""
    return files("detector.store") / "migrations"


def load(folder: Traversable) -> list[Migration]:
    """The migrations of a folder, in order.

    Raises:
        StoreError: the .sql files are not numbered 0001, 0002 … without a gap.
    """
    migrations = []
    for file in folder.iterdir():
        if not file.name.endswith(".sql"):
            continue
        match = _FILE_NAME.fullmatch(file.name)
        if match is None:
            raise StoreError(f"{file.name} is not named like 0001_what_it_does.sql")
        raw = file.read_bytes()
        migrations.append(Migration(int(match[1]), match[2], hashlib.sha256(raw).hexdigest(), raw.decode("utf-8")))
    migrations.sort(key=lambda migration: migration.version)
    if [migration.version for migration in migrations] != list(range(1, len(migrations) + 1)):
        raise StoreError("migrations are not numbered 0001, 0002 and so on, each number once, without a gap")
    return migrations


def statements(sql: str) -> list[str]:
    r"""Split a migration into statements, each without its semicolon.

    A statement ends with a line that ends in `;`. Lines that begin with `--` are comments, and are dropped.

    >>> statements("-- one;\nSELECT ';',\n  1;\n\nSELECT 2;\n")
    ["SELECT ';',\n  1", 'SELECT 2']

    Raises:
        StoreError: the last statement has no end, or a quote is still open where one ends.
    """
    found: list[str] = []
    lines: list[str] = []
    for line in sql.splitlines():
        text = line.rstrip()
        if not text or text.lstrip().startswith("--"):
            continue
        lines.append(text)
        if text.endswith(";"):
            found.append("\n".join(lines)[:-1])
            lines = []
    if lines:
        raise StoreError(f"the last statement does not end in a semicolon: {lines[0]!r} …")
    for statement in found:
        if statement.count("'") % 2:
            raise StoreError(f"a semicolon at a line's end within quotes, after: {statement[:60]!r} …")
    return found


def migrate(
    store: Store,
    *,
    folder: Traversable | None = None,
    cluster: str | None = None,
    clock: Callable[[], float] = time.time,
) -> list[Migration]:
    """Bring a store's schema up to date, making the database when it isn't there.

    Each statement of a migration can run again, so a migration that was cut short is simply applied again; a
    migration is recorded after its last statement. Where nothing is to be applied nothing is changed: an account
    that may only read and write will do.

    Args:
        store: where to apply them.
        folder: of the .sql files; those that come with the program by default.
        cluster: makes the tables on every replica of this cluster of servers, and replicated; None: on one server.
        clock: unix seconds, for the record.

    Returns:
        The migrations applied now, in order; empty when the schema was up to date.

    Raises:
        StoreError: a file was changed after it was applied, the store is newer than the program, or a
            statement failed.
    """
    wanted = load(folder or packaged())
    try:
        given = {"database": store.database}
        if not store.client.command(_RECORDED, parameters=given, use_database=False):
            database = on_cluster(f"CREATE DATABASE IF NOT EXISTS {store.database}", cluster)
            store.client.command(database, use_database=False)
            store.client.command(on_cluster(_RECORD, cluster))
        pending = _pending(wanted, _applied(store))
    except ClickHouseError as error:
        raise failure(f"can't read the schema of {store.url}: {error}", error) from error
    if not pending:
        return []
    with _alone(store, cluster):
        pending = _pending(wanted, _applied(store))
        for migration in pending:
            _apply(store, migration, cluster, clock())
    return pending


@contextmanager
def _alone(store: Store, cluster: str | None) -> Iterator[None]:
    """Keep other processes from changing the schema of a server; an embedded store is this process' alone."""
    if store.embedded:
        yield
        return
    try:
        store.client.command(on_cluster(_LOCK, cluster))
    except ClickHouseError as error:
        if isinstance(error, Error) and error.code == _ALREADY_THERE:
            raise StoreUnavailable(
                f"another process is changing the schema of {store.url}; if there is none any more, "
                f"DROP TABLE {store.database}.schema_migrating"
            ) from error
        raise _refused(f"can't change the schema of {store.url}", error) from error
    try:
        yield
    finally:
        store.client.command(on_cluster("DROP TABLE schema_migrating", cluster))


def _refused(what: str, error: ClickHouseError) -> StoreError:
    if isinstance(error, Error) and error.code == _NOT_ALLOWED:
        return StoreError(f"{what}: this account may not; run `detector store migrate` with one that may ({error})")
    return failure(f"{what}: {error}", error)


def _applied(store: Store) -> list[tuple[int, str, str]]:
    found = store.client.query("SELECT version, name, sha256 FROM schema_migrations FINAL ORDER BY version")
    return [(int(version), str(name), str(digest)) for version, name, digest in found.result_rows]


def _pending(wanted: Sequence[Migration], applied: Sequence[tuple[int, str, str]]) -> list[Migration]:
    if len(applied) > len(wanted):
        raise StoreError(
            f"the store has migration {applied[-1][0]:04}_{applied[-1][1]}, which this program doesn't know: "
            "upgrade the program"
        )
    for migration, (version, name, digest) in zip(wanted, applied, strict=False):
        if (migration.version, migration.sha256) != (version, digest):
            raise StoreError(
                f"migration {version:04}_{name} was applied to this store, and its file has changed since "
                f"({digest[:12]} then, {migration.label} is {migration.sha256[:12]} now): put the file back, "
                "and make the change in a new migration"
            )
    return list(wanted[len(applied) :])


def _apply(store: Store, migration: Migration, cluster: str | None, now: float) -> None:
    try:
        for statement in statements(migration.sql):
            store.client.command(on_cluster(statement, cluster))
        store.client.insert(
            "schema_migrations",
            [[migration.version, migration.name, migration.sha256, datetime.fromtimestamp(now, UTC)]],
            column_names=["version", "name", "sha256", "applied_at"],
            database=store.database,
        )
    except ClickHouseError as error:
        raise _refused(f"migration {migration.label} failed, and can be run again", error) from error
