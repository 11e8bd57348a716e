"""ClickHouse's HTTP interface in front of the embedded engine, as far as clickhouse-connect uses it.

A program, started by `tests.support.clickhouse_front`: one engine has one data path a process, so a second
store needs a second process. It prints its port, serves loopback, takes orders for faults under `/-/faults`,
and ends when its standard input does, so that it can't outlive a test run.

Not for anything but tests: bodies are read whole, and there is one user.
"""

import argparse
import base64
import gzip
import json
import os
import re
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import chdb
import lz4.frame
import msgspec

from tests.support.clickhouse_faults import CONTROL, Fault, Orders

# Parameters of the interface itself; every other one but param_* is a setting of the engine.
_TRANSPORT: Final = frozenset(
    {
        "query",
        "database",
        "default_format",
        "query_id",
        "session_id",
        "session_timeout",
        "session_check",
        "quota_key",
        "compress",
        "decompress",
        "wait_end_of_query",
        "buffer_size",
        "client_protocol_version",
        "role",
        "user",
        "password",
        "enable_http_compression",
        "send_progress_in_http_headers",
        "http_headers_progress_interval_ms",
        "cancel_http_readonly_queries_on_client_close",
    }
)
_INSERT: Final = re.compile(rb"(\s*INSERT\s+INTO\s[^\n]*?)\s+FORMAT\s+(?!VALUES\b)(\w+)\s*(?:\n|$)", re.IGNORECASE)
_FORMAT: Final = re.compile(rb"\bFORMAT\s+(\w+)\s*;?\s*$", re.IGNORECASE)
_RESULT: Final = re.compile(rb"\s*(SELECT|WITH|SHOW|DESC|DESCRIBE|EXISTS|EXPLAIN)\b", re.IGNORECASE)
_CODE: Final = re.compile(r"Code: (\d+)\.")
_STATUS: Final = {516: 401, 497: 403, 60: 404, 81: 404, 62: 400, 164: 403, 159: 408}


def _connect(path: str) -> Any:
    return chdb.connect(path)  # type: ignore[no-untyped-call]


class Engine:
    """The embedded engine behind the interface."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._keep = _connect(path)  # the engine lives as long as one handle does

    def run(self, sql: bytes, params: Mapping[str, str]) -> tuple[bytes, dict[str, str]]:
        """Run one statement on a handle of its own, so that settings can't leak; body and headers."""
        settings = {k: v for k, v in params.items() if k not in _TRANSPORT and not k.startswith("param_")}
        bound = {k.removeprefix("param_"): v for k, v in params.items() if k.startswith("param_")}
        handle = _connect(self._path)
        try:
            if params.get("database"):
                handle.query(f"USE `{params['database']}`")
            for name, value in settings.items():
                handle.query(f"SET {name} = {_quote(value)}")
            insert = _INSERT.match(sql)
            if insert:
                return _insert(handle, insert[1].decode(), insert[2].decode(), sql[insert.end() :])
            return _select(handle, sql, params.get("default_format", "TabSeparated"), bound)
        finally:
            handle.close()


def _insert(handle: Any, head: str, form: str, data: bytes) -> tuple[bytes, dict[str, str]]:
    # From a file: in a statement, the engine would take a blank line in the data for its end.
    with tempfile.NamedTemporaryFile(suffix=".in") as file:
        file.write(data)
        file.flush()
        done = handle.query(f"{head} FROM INFILE {_quote(file.name)} FORMAT {form}", "TabSeparated")
    return b"", {"X-ClickHouse-Summary": json.dumps({"written_rows": str(done.rows_written())})}


def _select(handle: Any, sql: bytes, form: str, bound: Mapping[str, str]) -> tuple[bytes, dict[str, str]]:
    named = _FORMAT.search(sql[-200:])
    form = named[1].decode() if named else form
    body = handle.query(sql.decode(), form, params=dict(bound)).bytes() or b""
    return body, {"X-ClickHouse-Format": form} if body or _RESULT.match(sql) else {}


def _quote(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _unlz4(data: bytes) -> bytes:
    """One frame for each block of the native format: decode all of them."""
    out = []
    while data:
        frame = lz4.frame.LZ4FrameDecompressor()
        out.append(frame.decompress(data))
        data = frame.unused_data or b""
    return b"".join(out)


_DECODE: Final[dict[str, Callable[[bytes], bytes]]] = {
    "": bytes,
    "identity": bytes,
    "gzip": gzip.decompress,
    "lz4": _unlz4,
}


class Front(ThreadingHTTPServer):
    """The server: an engine, orders, and the credentials that are asked for."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, path: str, port: int, user: str, password: str) -> None:
        self.engine = Engine(path)
        self.orders = Orders()
        self.credentials = f"{user}:{password}"
        super().__init__(("127.0.0.1", port), Handler)


class Handler(BaseHTTPRequestHandler):
    """One connection of a client, kept alive between requests."""

    server: Front
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Keep quiet."""

    def do_GET(self) -> None:
        """A ping, an order, or a statement."""
        url = urlsplit(self.path)
        body = self._body()
        if url.path == CONTROL:
            self._control(body)
        elif not url.query and self.command == "GET":
            self._reply(200, b"Ok.\n")
        else:
            self._statement(dict(parse_qsl(url.query, keep_blank_values=True)), body)

    def do_POST(self) -> None:
        """As for GET: what is asked for stands in the URL and the body."""
        self.do_GET()

    def do_DELETE(self) -> None:
        """Withdraw every order."""
        self.do_GET()

    def _control(self, body: bytes) -> None:
        if self.command == "POST":
            self.server.orders.add(msgspec.json.decode(body, type=Fault))
        elif self.command == "DELETE":
            self.server.orders.clear()
        self._reply(200, json.dumps(self.server.orders.seen()).encode())

    def _statement(self, params: dict[str, str], body: bytes) -> None:
        given = self.headers.get("Authorization", "Basic ZGVmYXVsdDo=").removeprefix("Basic ")
        if base64.b64decode(given).decode() != self.server.credentials:
            return self._fail(RuntimeError("Code: 516. DB::Exception: (AUTHENTICATION_FAILED)"))
        if self.headers.get_content_type() == "multipart/form-data":
            # The client's way to send parameters that are too long for an address.
            params, body = params | _form(self.headers["Content-Type"], body), b""
        sql = b"\n".join(part for part in (params.get("query", "").encode(), body) if part)
        fault = self.server.orders.next_for(sql.partition(b"\n")[0].decode(errors="replace"))
        if fault and fault.kind == "drop_before":
            return self._drop()
        if fault and fault.kind == "status":
            return self._reply(fault.status, b"a fault that the test ordered", fault.headers)
        if fault and fault.kind == "slow":
            time.sleep(fault.seconds)
        try:
            result, headers = self.server.engine.run(sql, params)
        except Exception as error:  # noqa: BLE001 - whatever the engine raises is the answer
            return self._fail(error)
        if fault and fault.kind == "drop_after":
            return self._drop()
        return self._reply(200, result, {"X-ClickHouse-Timezone": "UTC", **headers})

    def _fail(self, error: Exception) -> None:
        found = _CODE.search(str(error))
        code = int(found[1]) if found else 1002
        self._reply(_STATUS.get(code, 500), str(error).encode(), {"X-ClickHouse-Exception-Code": str(code)})

    def _drop(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _reply(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        try:
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except (BrokenPipeError, ConnectionResetError):  # the client gave up waiting
            self.close_connection = True

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            raw = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                raw += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return _DECODE[self.headers.get("Content-Encoding", "")](raw)


def _form(content_type: str, body: bytes) -> dict[str, str]:
    """The fields of a form, by name."""
    form = BytesParser(policy=HTTP).parsebytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body)
    fields = {}
    for part in form.iter_parts():
        value = part.get_payload(decode=True)
        assert isinstance(value, bytes)
        fields[str(part.get_param("name", header="content-disposition"))] = value.decode()
    return fields


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("path", type=Path)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--user", default="default")
    given = parser.parse_args()
    front = Front(str(given.path), given.port, given.user, os.environ.get("FRONT_PASSWORD", ""))
    threading.Thread(target=front.serve_forever, daemon=True).start()
    sys.stdout.write(f"{front.server_address[1]}\n")
    sys.stdout.flush()
    sys.stdin.read()
    os._exit(0)  # requests under way are of no interest any more


if __name__ == "__main__":
    main()
