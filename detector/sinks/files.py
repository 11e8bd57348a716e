"""Findings and alerts to files or standard output, one JSON object a line."""

import stat
import sys
from collections.abc import Callable
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import msgspec

from detector.alerts import Alert
from detector.findings import Finding
from detector.sinks.base import Batch, Noun, Refused, Sink, SinkUnavailable

_REMEMBERED = 65_536
_NATIVE = msgspec.json.Encoder().encode


class NdjsonSink(Sink):
    """Writes each finding and each version of each alert as one line, in order, byte for byte repeatable.

    A file is written beside its place, as `PATH.partial`, and moved there by `commit`: a file that stands
    under its own name is whole. As a context manager the sink commits when the block ends well; after an
    exception (Ctrl-C) the `.partial` file stays for a look. A pipe or a device is written directly.

    A write that returned has handed the lines to the operating system. When it fails on a file (disk full),
    half a line is taken back and `SinkUnavailable` raised; on a pipe the `OSError` comes through. An item
    that comes again is passed over when it is among the last 65,536 of its kind.

    Args:
        findings: path for the findings, "-" for standard output; None leaves findings alone.
        alerts: the same for the alerts.
        name: the sink's name.
        encode: one item as JSON without line breaks.

    Raises:
        ValueError: both would go to the same file.
        OSError: a file can't be opened.
    """

    def __init__(
        self,
        findings: str | None = None,
        alerts: str | None = None,
        *,
        name: str = "ndjson",
        encode: Callable[[Finding | Alert], bytes] = _NATIVE,
    ) -> None:
        if findings is not None and findings != "-" and findings == alerts:
            raise ValueError(f"findings and alerts can't both go to {findings}")
        self.name = name
        paths: dict[Noun, str | None] = {"findings": findings, "alerts": alerts}
        self._outputs: dict[Noun, _Output] = {}
        try:
            for noun, path in paths.items():
                if path is not None:
                    self._outputs[noun] = _Output(path, encode)
        except OSError:
            self.close()
            raise
        self.accepts = frozenset(self._outputs)

    def write(self, batch: Batch) -> list[Refused]:
        """Append the lines. See `Sink.write`."""
        for noun, output in self._outputs.items():
            output.write(getattr(batch, noun))
        return []

    def commit(self) -> None:
        """Everything was written: close the files and give them their names.

        Raises:
            OSError: a file can't be closed or moved.
        """
        for output in self._outputs.values():
            output.commit()

    def close(self) -> None:
        """Close the files; what was not committed stays `.partial`."""
        for output in self._outputs.values():
            output.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.commit()
        finally:
            self.close()


class _Output:
    """One stream of lines."""

    def __init__(self, path: str, encode: Callable[[Finding | Alert], bytes]) -> None:
        self._path = Path(path)
        self._partial: Path | None = None
        self._seen: dict[str, None] = {}
        self._encode = encode
        self._file: BinaryIO | FileIO
        if path == "-":
            self._file = sys.stdout.buffer
        elif self._path.exists() and not stat.S_ISREG(self._path.stat().st_mode):
            self._file = self._path.open("wb", buffering=0)
        else:
            self._partial = self._path.with_name(self._path.name + ".partial")
            self._file = self._partial.open("wb", buffering=0)
        self._owned = path != "-"
        self._closed = False

    def write(self, items: list[Finding] | list[Alert]) -> None:
        if self._closed:
            raise ValueError("write to a closed sink")
        new = {key: item for item in items if (key := _key(item)) not in self._seen}
        if not new:
            return
        lines = b"".join(self._encode(item) + b"\n" for item in new.values())
        good = self._file.tell() if self._partial is not None else None
        try:
            self._write_all(lines)
        except OSError as error:
            if good is None:
                raise
            # Take back half-written lines, so that the retry doesn't repeat them.
            self._file.seek(good)
            self._file.truncate()
            raise SinkUnavailable(f"{self._path}: {error.strerror}") from error
        self._remember(new)

    def _write_all(self, lines: bytes) -> None:
        rest = memoryview(lines)
        while rest:
            rest = rest[self._file.write(rest) :]
        self._file.flush()

    def commit(self) -> None:
        self.close()
        if self._partial is not None:
            self._partial.replace(self._path)
            self._partial = None

    def close(self) -> None:
        if self._owned and not self._closed:
            self._file.close()
        self._closed = True

    def _remember(self, keys: dict[str, Finding | Alert]) -> None:
        self._seen.update(dict.fromkeys(keys))
        while len(self._seen) > _REMEMBERED:
            del self._seen[next(iter(self._seen))]


def _key(item: Finding | Alert) -> str:
    return f"{item.id}:{item.version}" if isinstance(item, Alert) else item.id
