"""A connection to the event store, from a URL: a ClickHouse server, or the engine embedded here."""

import os
import re
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import clickhouse_connect
import structlog
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, Error

from detector.store import lock
from detector.store.errors import StoreError, failure

log = structlog.get_logger(__name__)

DEFAULT_DATABASE: Final = "detector"
_DATABASE_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_FORMS: Final = "chdb:///absolute/path, chdb://./relative/path or http(s)://user@host:port/database"
_AUTHENTICATION_FAILED: Final = 516


class Store:
    """An open event store. Not for sharing between threads that read streams; open one handle for each.

    Attributes:
        client: the clickhouse-connect client; statements run in `database`, times come back aware.
        database: where the tables are. It exists after `migrate` only.
        url: what was connected to, without secrets.
    """

    def __init__(self, client: Client, database: str, url: str, directory: Path | None = None) -> None:
        self.client = client
        self.client.database = database
        self.database = database
        self.url = url
        self._directory = directory
        self._open = True

    @property
    def embedded(self) -> bool:
        """Whether the engine runs in this process, which then has the data to itself."""
        return self._directory is not None

    def close(self) -> None:
        """Let go of the connection, and of an embedded store's lock. May be called twice."""
        if not self._open:
            return
        self._open = False
        self.client.close()
        if self._directory is not None:
            lock.release(self._directory)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def connect(
    url: str,
    *,
    password: str | None = None,
    ca_cert: Path | None = None,
    connect_timeout: float = 10.0,
    read_timeout: float = 60.0,
) -> Store:
    """Open the event store.

    An embedded store (`chdb:`) makes its directory (mode 0700) when it isn't there; the database is
    `detector`, or what `?database=` names. A process has one embedded path, with as many handles as it likes.
    Don't fork after opening one: the child would hang.

    Args:
        url: chdb:///absolute/path, chdb://./relative/path, or http(s)://user@host:port/database. The
            certificate of an https server is always verified.
        password: of the user that the URL names; it never shows in errors or logs.
        ca_cert: PEM file of the authority that signed the server's certificate, when the system doesn't
            know it.
        connect_timeout: seconds to reach the server.
        read_timeout: seconds to wait for its answer.

    Raises:
        StoreUnavailable: the server can't be reached now, or can't answer.
        StoreError: the URL is not one of these, the server refuses, or the embedded store is open elsewhere.
    """
    parts = urlsplit(url)
    try:
        if parts.scheme == "chdb":
            return _embedded(parts)
        if parts.scheme in ("http", "https") and parts.hostname:
            return _server(parts, password, ca_cert, connect_timeout, read_timeout)
    except OSError as error:
        raise StoreError(f"can't open the store: {error}") from error
    raise StoreError(f"not the URL of a store: use {_FORMS}")


def _embedded(parts: SplitResult) -> Store:
    options = dict(parse_qsl(parts.query))
    database = _database_name(options.pop("database", DEFAULT_DATABASE))
    location = unquote(parts.netloc + parts.path)
    location = location.removeprefix("/") if location.startswith("/./") else location
    if not location or options:
        raise StoreError(f"an embedded store is a path with ?database= at most: {_FORMS}")
    directory = Path(os.path.realpath(location))
    _make_private(directory)
    lock.acquire(directory)
    try:
        client = clickhouse_connect.get_client(interface="chdb", path=str(directory), tz_mode="aware")
    except ImportError as error:
        lock.release(directory)
        raise StoreError("an embedded store needs the engine: pip install 'rogue-agent-detector[embedded]'") from error
    except (ClickHouseError, RuntimeError) as error:
        lock.release(directory)
        raise StoreError(_why_not_embedded(directory, error)) from error
    return Store(client, database, f"chdb://{directory}", directory)


def _make_private(directory: Path) -> None:
    """Make a directory, and what is missing on the way to it, for its owner only; one that stands is left as it is."""
    for missing in reversed([path for path in (directory, *directory.parents) if not path.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)
    if directory.stat().st_mode & 0o077:
        log.warning("store_open_to_others", directory=str(directory), remedy=f"chmod 700 {directory}")


def _why_not_embedded(directory: Path, error: Exception) -> str:
    if "already initialized with path" in str(error):
        return f"can't open {directory}: this process has an embedded store open at another path; it can have one"
    return (
        f"the engine can't open {directory}: {error}. Its own words are on stderr; most often a program "
        "other than the detector has it open, or the disk is full or not writable"
    )


def _server(
    parts: SplitResult,
    password: str | None,
    ca_cert: Path | None,
    connect_timeout: float,
    read_timeout: float,
) -> Store:
    if parts.password is not None:
        raise StoreError("the URL of the store holds a password: take it out, and give it as a secret")
    if parts.query or parts.fragment:
        raise StoreError(f"the URL of a server takes no options: {_FORMS}")
    database = _database_name(unquote(parts.path).strip("/") or DEFAULT_DATABASE)
    url = f"{parts.scheme}://{parts.netloc}/{database}"
    if password and parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        log.warning("store_password_in_clear", url=url, remedy="use https")
    try:
        client = clickhouse_connect.get_client(
            interface=parts.scheme,
            host=parts.hostname,
            port=parts.port,
            username=unquote(parts.username) if parts.username else None,
            password=password or "",
            verify=True,
            ca_cert=str(ca_cert) if ca_cert else None,
            connect_timeout=connect_timeout,
            send_receive_timeout=read_timeout,
            # A session would let one thread at a time use the client, and we keep no state in it.
            autogenerate_session_id=False,
            tz_mode="aware",
        )
    except ValueError as error:
        raise StoreError(_why_not_server(url, error)) from error
    except ClickHouseError as error:
        why = _why_not_server(url, error)
        raise (StoreError(why) if _is_certificate(error) else failure(why, error)) from error
    return Store(client, database, url)


def _why_not_server(url: str, error: Exception) -> str:
    if isinstance(error, Error) and error.code == _AUTHENTICATION_FAILED:
        return f"the store at {url} refused the user or the password: check both"
    if _is_certificate(error):
        return f"the certificate of {url} can't be verified: give its authority as ca_cert ({error})"
    return f"can't use the store at {url}: is it running, and is the URL right? ({error})"


def _is_certificate(error: Exception) -> bool:
    return "certificate" in str(error).lower()


def _database_name(name: str) -> str:
    if not _DATABASE_NAME.fullmatch(name):
        raise StoreError(f"not a name for a database: {name!r}; use letters, digits and underscores")
    return name
