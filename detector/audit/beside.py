"""Opening a store to ask it something, whoever else has it open."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, Error
from urllib3 import HTTPConnectionPool, PoolManager
from urllib3.connection import HTTPConnection

from detector.audit.answer import AuditError
from detector.audit.door import SOCKET_NAME, TAKEN, reachable
from detector.audit.readonly import engine_words
from detector.store.client import DEFAULT_DATABASE, Store, connect
from detector.store.errors import StoreBusy, StoreError

PATIENCE: Final = 20.0
"""Seconds for which a store that another audit has open is waited for."""

_PAUSE: Final = 0.2
_ANSWER_SECONDS: Final = 630.0
# No such table, database, column: the store is from before this program, or is none.
_NOT_MIGRATED: Final = frozenset({16, 47, 60, 81})


@contextmanager
def open_to_ask(
    url: str,
    *,
    password: str | None = None,
    ca_cert: Path | None = None,
    patience: float = PATIENCE,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Store]:
    """A store to read, open until the block is left.

    An embedded store that a service has open is asked through the service. One that another audit has open is waited
    for: an audit takes a second or so.

    Args:
        url: As of `connect`.
        password: As of `connect`.
        ca_cert: As of `connect`.
        patience: Seconds to wait for who has it open and does not answer.
        clock: Seconds, from anywhere.
        sleep: Waits so many seconds.

    Raises:
        AuditError: There is no store, or it is of another version; also for what is asked in the block.
        StoreBusy: Who has it open neither answers nor ends.
        StoreError: As of `connect`.
    """
    directory = _directory(url)
    if directory is not None and not directory.exists():
        raise AuditError(f"there is no store at {directory}: is the path right, and has anything been stored yet?")
    end = clock() + patience
    while True:
        store = _open(url, directory, password, ca_cert)
        if isinstance(store, Store):
            break
        if clock() >= end:
            raise StoreBusy(
                f"{str(store).partition(': ')[0]}, and that one answers no questions (`detector run` does): wait until "
                "it has ended, and ask again"
            )
        sleep(_PAUSE)
    try:
        with store:
            yield store
    except ClickHouseError as error:
        raise AuditError(_explained(error, store)) from error


def _open(url: str, directory: Path | None, password: str | None, ca_cert: Path | None) -> Store | StoreBusy:
    """The store, or who has it open and does not answer."""
    try:
        return connect(url, password=password, ca_cert=ca_cert)
    except StoreBusy as busy:
        if directory is None or not (directory / SOCKET_NAME).exists():
            return busy
        try:
            return through(directory, _database(url))
        except (OSError, ClickHouseError, StoreError):
            return busy


def through(directory: Path, database: str) -> Store:
    """The store that another process has open, asked through its door: read only.

    Raises:
        OSError, ClickHouseError: Nobody answers.
    """
    pools = _Pools(directory)
    try:
        client = _client(pools)
    except (OSError, ClickHouseError):
        pools.end()
        raise
    for name in TAKEN:  # the door says of every setting that it can't be set; these it takes
        if name in client.server_settings:
            client.server_settings[name] = client.server_settings[name]._replace(readonly=0)
    return _Through(client, database, directory, pools)


def _client(pools: "_Pools") -> Client:
    return clickhouse_connect.get_client(
        interface="http",
        host="localhost",
        pool_mgr=pools,
        send_receive_timeout=_ANSWER_SECONDS,
        autogenerate_session_id=False,
        compress=False,
        tz_mode="aware",
    )


class _Through(Store):
    """A store that is asked through a door; its connections are its own."""

    def __init__(self, client: Client, database: str, directory: Path, pools: "_Pools") -> None:
        super().__init__(client, database, f"chdb://{directory}")
        self._pools = pools

    def close(self) -> None:
        super().close()
        self._pools.end()


class _Pools(PoolManager):
    """Leads every request to one socket."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._pool = _Pool(directory)

    def end(self) -> None:
        """Close the connections."""
        self._pool.close()

    def connection_from_host(self, *_: Any, **__: Any) -> HTTPConnectionPool:
        return self._pool


class _Pool(HTTPConnectionPool):
    def __init__(self, directory: Path) -> None:
        super().__init__("localhost", retries=False, maxsize=4)
        self._directory = directory

    def _new_conn(self) -> HTTPConnection:
        return _Connection(self._directory, timeout=_ANSWER_SECONDS)


class _Connection(HTTPConnection):
    def __init__(self, directory: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._directory = directory

    def _new_conn(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(_ANSWER_SECONDS)
        try:
            with reachable(self._directory) as path:
                connection.connect(path)
        except OSError:
            connection.close()
            raise
        return connection


def _directory(url: str) -> Path | None:
    parts = urlsplit(url)
    if parts.scheme != "chdb":
        return None
    location = unquote(parts.netloc + parts.path)
    return Path(location.removeprefix("/") if location.startswith("/./") else location).resolve()


def _database(url: str) -> str:
    return dict(parse_qsl(urlsplit(url).query)).get("database", DEFAULT_DATABASE)


def _explained(error: ClickHouseError, store: Store) -> str:
    code = error.code if isinstance(error, Error) else None
    if code in _NOT_MIGRATED:
        return (
            f"the store at {store.url} lacks a table or a column that this question needs: it is from before this "
            f"program, or is none; `detector store migrate` brings it up to date ({engine_words(error)})"
        )
    return f"the store at {store.url} can't answer: {engine_words(error)}"
