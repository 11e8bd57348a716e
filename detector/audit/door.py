"""Questions beside a running service: who has an embedded store open answers those of other processes.

A socket in the store's directory (mode 0600) speaks as much of ClickHouse's HTTP interface as its client needs to
read. Whoever can connect could read the files of the store as well; nobody can change anything through it, since each
statement passes the guard of `readonly` here, whatever the other side says, and runs within limits set here.
"""

import math
import os
import re
import socket
import socketserver
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import parse_qsl, urlsplit

import structlog
from clickhouse_connect.driver.exceptions import ClickHouseError

from detector.audit.answer import AuditError
from detector.audit.readonly import guard
from detector.store.client import Store, connect
from detector.store.errors import StoreError

log = structlog.get_logger(__name__)

SOCKET_NAME: Final = "audit.sock"
AT_ONCE: Final = 3
"""Statements that run at the same time; more wait."""

# What any statement may use at most, whatever its client asks for. Verification reads whole tables.
_SECONDS: Final = 600.0
_MEMORY: Final = 2**30
_ROWS: Final = 0  # any number of them: an answer is sent as it is found
_NARROWED: Final = ("max_execution_time", "max_memory_usage", "max_result_rows")
# What may be said of how a statement is run, each from a least to a most: verification reads three times as fast in
# large blocks that one thread sorts. None of them changes an answer, or lifts a limit.
_TUNED: Final[Mapping[str, tuple[float, float]]] = {
    "max_threads": (1, 2),
    "max_block_size": (1_024, 1 << 20),
    "preferred_block_size_bytes": (0, 64 << 20),
    "max_bytes_before_external_sort": (1 << 20, _MEMORY),
    "max_bytes_ratio_before_external_sort": (0, 1),
}
TAKEN: Final = (*_NARROWED, *_TUNED)
"""Settings that a client may send, to get less than that or to have it run otherwise; all others are passed over."""

_MARK: Final = "audit through the door"
_CANCEL: Final = "KILL QUERY WHERE Settings['log_comment'] = 'audit through the door' ASYNC"
_PAUSE: Final = 0.1

_FORMAT: Final = re.compile(r"\s+FORMAT\s+(Native|TabSeparated|JSON)\s*;?\s*$", re.IGNORECASE)
_CODE: Final = re.compile(r"Code: (\d+)\.")
_PATH_MOST: Final = 100


@contextmanager
def reachable(directory: Path, name: str = SOCKET_NAME) -> Iterator[str]:
    """The path of a socket in a directory, short enough for the kernel while the block lasts."""
    path = directory / name
    if len(os.fsencode(path)) <= _PATH_MOST:
        yield str(path)
        return
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{name}"
    finally:
        os.close(descriptor)


class Door:
    """Answers questions about an embedded store from threads of its own, until it is closed.

    Args:
        store: The open store; for any other than an embedded one there is nothing to do.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._server: _Server | None = None
        path = getattr(store.client, "path", None)
        if path is None:
            return
        directory = Path(path)
        (directory / SOCKET_NAME).unlink(missing_ok=True)  # its maker is gone: the store's lock is ours
        try:
            with reachable(directory) as where:
                self._server = _Server(where, store.url, store.database)
        except OSError as error:
            log.warning("audit_door_closed", why=str(error), effect="audits can't be asked while this runs")
            return
        self._socket = directory / SOCKET_NAME
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, name="audit-door", daemon=True
        )
        self._thread.start()

    def close(self, patience: float = 5.0) -> None:
        """Take no more questions, and cancel those that are being answered. May be called twice.

        Call it before the store is closed: the engine must not be, while a statement runs. Waits so many seconds.
        """
        if self._server is None:
            return
        server, self._server = self._server, None
        self._socket.unlink(missing_ok=True)
        server.shutdown()
        server.server_close()
        self._thread.join()
        end = time.monotonic() + patience
        while not server.idle() and time.monotonic() < end:
            self._store.client.command(_CANCEL)
            time.sleep(_PAUSE)
        if not server.idle():
            log.warning("audit_still_answered", seconds=patience)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, path: str, url: str, database: str) -> None:
        self.url = url
        self.database = database
        self.room = threading.BoundedSemaphore(AT_ONCE)
        super().__init__(path, _Handler)

    def server_bind(self) -> None:
        """Bind, and let nobody in but ourselves, before anybody can be heard."""
        super().server_bind()
        Path(str(self.server_address)).chmod(0o600)

    def idle(self) -> bool:
        """Whether nothing runs now."""
        taken = [self.room.acquire(blocking=False) for _ in range(AT_ONCE)]
        for _ in filter(None, taken):
            self.room.release()
        return all(taken)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - given by socketserver
        log.warning("audit_question_failed", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = 60  # seconds: a client that says nothing must not hold a thread for ever
    wbufsize = 0

    def address_string(self) -> str:
        """A client of a socket has no address."""
        return "local"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name in the base class
        """Questions are many, and worth no line."""

    def do_GET(self) -> None:
        """A ping, or a statement in the URL."""
        self.do_POST()

    def do_POST(self) -> None:
        """A statement: in the URL, in the body or the two together."""
        given = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get_content_type() == "multipart/form-data":  # parameters that are too long for a URL
            given |= _form(self.headers["Content-Type"], sent)
            sent = b""
        body = sent.decode("utf-8", "replace")
        statement = "\n".join(part for part in (given.get("query", ""), body) if part)
        if not statement:
            self._reply(200, b"Ok.\n")
            return
        with self.server.room:
            try:
                self._answer(statement, given)
            except (AuditError, StoreError, ClickHouseError, RuntimeError) as error:
                self._refuse(error)

    def _answer(self, statement: str, given: Mapping[str, str]) -> None:
        form = _FORMAT.search(statement)
        name = form[1] if form else given.get("default_format", "TabSeparated")
        bare = statement[: form.start()] if form else statement
        bound = {key.removeprefix("param_"): value for key, value in given.items() if key.startswith("param_")}
        with connect(self.server.url) as own:
            own.client.database = self.server.database
            streams = guard(own.client, self.server.database, bare, bound)
        import chdb  # noqa: PLC0415 - there is an embedded engine, or there would be no door

        handle = chdb.connect(self.server.url.removeprefix("chdb://"))  # type: ignore[no-untyped-call]
        try:
            handle.query(f"USE `{self.server.database}`")
            handle.query(_limits(given))
            # Whole where it is short: only then can be told what goes wrong on the way.
            whole = not streams or "max_result_rows" in given
            found = [handle.query(bare, name, params=bound)] if whole else handle.send_query(bare, name, params=bound)
            blocks = (block.bytes() or b"" for block in found)
            self._send(name, next(blocks, b""), blocks)
        finally:
            handle.close()

    def _send(self, form: str, first: bytes, rest: Iterator[bytes]) -> None:
        """In chunks: a verification reads more than fits in memory. What goes wrong later cuts the connection."""
        self.send_response(200)
        self.send_header("X-ClickHouse-Timezone", "UTC")
        self.send_header("X-ClickHouse-Format", form)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for block in chain((first,), rest):
                if block:
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(block), block))
            self.wfile.write(b"0\r\n\r\n")
        except (OSError, RuntimeError, ClickHouseError) as error:
            log.info("audit_answer_cut", why=f"{type(error).__name__}: {error}")
            self.close_connection = True
            with suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

    def _refuse(self, error: Exception) -> None:
        found = _CODE.search(str(error))
        code = found[1] if found else "164"
        text = str(error) if found else f"Code: 164. DB::Exception: {error}"
        self._reply(500, text.encode(), {"X-ClickHouse-Exception-Code": code})

    def _reply(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _form(content_type: str, body: bytes) -> dict[str, str]:
    """The fields of a form, by name."""
    head = f"Content-Type: {content_type}\r\n\r\n".encode("latin-1")
    form = BytesParser(policy=HTTP).parsebytes(head + body)
    fields = {}
    for part in form.iter_parts():
        value = part.get_payload(decode=True)
        name = part.get_param("name", header="content-disposition")
        fields[str(name)] = value.decode("utf-8", "replace") if isinstance(value, bytes) else ""
    return fields


def _limits(given: Mapping[str, str]) -> str:
    """The SET statement for a question, of numbers only: the client's limits where they are narrower than ours."""
    seconds = _narrower(given.get("max_execution_time"), _SECONDS)
    memory = int(_narrower(given.get("max_memory_usage"), _MEMORY))
    rows = int(_narrower(given.get("max_result_rows"), _ROWS))
    tuned = {"max_threads": 2.0} | {name: value for name in _TUNED if (value := _tuned(name, given)) is not None}
    return (
        f"SET max_execution_time = {seconds:.3f}, max_memory_usage = {memory:d}, max_result_rows = {rows:d}, "
        f"result_overflow_mode = 'throw', log_comment = '{_MARK}', "
        + "".join(f"{name} = {value:.15g}, " for name, value in tuned.items())
        + "timeout_before_checking_execution_speed = 0, "
        "do_not_merge_across_partitions_select_final = 1, optimize_move_to_prewhere_if_final = 1, "
        "use_skip_indexes_if_final = 1, use_skip_indexes_if_final_exact_mode = 0, readonly = 1"
    )


def _tuned(name: str, given: Mapping[str, str]) -> float | None:
    """What a client says of a setting, within bounds; None if that is nothing, or no number."""
    try:
        value = float(given[name])
    except (KeyError, ValueError):
        return None
    least, most = _TUNED[name]
    return None if math.isnan(value) else min(max(value, least), most)


def _narrower(asked: str | None, most: float) -> float:
    try:
        value = float(asked or 0)
    except ValueError:
        return most
    return most if not 0 < value < (most or math.inf) else value
