"""Records from files of one message a line: plain, gzip, or standard input."""

import gzip
import io
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from detector.sources.base import Record, SourceError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

GZIP_MAGIC: Final = b"\x1f\x8b"
MAX_LINE_BYTES: Final = 16 * 1024 * 1024
READ_BYTES: Final = 128 * 1024


class FileSource:
    """One file as a partition of its own: the line number, from 0, is the offset.

    Blank lines are skipped, but counted. A line longer than `max_bytes` is handed over cut to one byte more
    than that, so that the decoder rejects it as too large, and its rest is never held in memory.

    `size` and `position` are for a progress bar; both speak of bytes on disk, compressed if the file is.

    Args:
        path: File to read; gzip is told by its content. "-" for standard input.
        clock: Unix seconds; asked once a file, for `received_at`.
        topic: Topic of the records; `file:` and the file's name when None.
        max_bytes: Longest line, without its end, that is handed over whole.
    """

    def __init__(
        self,
        path: str | Path,
        clock: Callable[[], float],
        topic: str | None = None,
        *,
        max_bytes: int = MAX_LINE_BYTES,
    ) -> None:
        self.path = str(path)
        self.topic = topic if topic is not None else f"file:{Path(self.path).name}"
        self._clock = clock
        self._max_bytes = max_bytes
        self._raw: _Counted | None = None

    @property
    def size(self) -> int | None:
        """Bytes on disk; None when it is not a regular file (a pipe, or one that is not there)."""
        path = Path(self.path)
        return path.stat().st_size if self.path != "-" and path.is_file() else None

    @property
    def position(self) -> int:
        """Bytes read so far of `size`, a little ahead of the records handed over."""
        return self._raw.count if self._raw is not None else 0

    def __iter__(self) -> Iterator[Record]:
        """Read the file from its beginning.

        Raises:
            SourceError: it can't be opened, or its gzip data are cut off or corrupt; the records before
                that place have been handed over.
        """
        received_at = self._clock()
        number = -1
        try:
            with self._open() as raw:
                for number, line in enumerate(self._lines(raw)):
                    if line and not line.isspace():
                        yield Record(self.topic, 0, number, None, line, received_at)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise SourceError(
                f"{self.path}: its gzip data end early or are corrupt after {number + 1} lines ({error}): "
                "`gzip -t` tests a file; fetch or export this one again"
            ) from error
        except OSError as error:
            raise SourceError(
                f"{self.path}: {error.strerror or error}: give a readable file of one JSON object a line "
                "(plain or gzip), or - for standard input"
            ) from error

    def _open(self) -> io.BufferedReader:
        if self.path == "-":
            # A handle of its own, so that closing it leaves standard input open.
            self._raw = _Counted(io.FileIO(sys.stdin.fileno(), closefd=False))
        else:
            self._raw = _Counted(io.FileIO(self.path))
        return io.BufferedReader(self._raw, READ_BYTES)

    def _lines(self, raw: io.BufferedReader) -> Iterator[bytes]:
        head = raw.peek(len(GZIP_MAGIC))
        packed = head.startswith(GZIP_MAGIC) or (self.path.endswith(".gz") and head != b"")
        stream = io.BufferedReader(gzip.GzipFile(fileobj=raw), READ_BYTES) if packed else raw
        longest = self._max_bytes
        while chunk := stream.readline(longest + 2):
            line = chunk.removesuffix(b"\n").removesuffix(b"\r")
            yield line if len(line) <= longest else line[: longest + 1]
            while chunk and not chunk.endswith(b"\n"):
                chunk = stream.readline(READ_BYTES)


def read_records(
    path: str | Path,
    clock: Callable[[], float],
    topic: str | None = None,
    *,
    max_bytes: int = MAX_LINE_BYTES,
) -> Iterator[Record]:
    """The records of one file, as `FileSource` reads them.

    Raises:
        SourceError: it can't be opened, or its gzip data are cut off or corrupt.
    """
    return iter(FileSource(path, clock, topic, max_bytes=max_bytes))


class _Counted(io.RawIOBase):
    """A file that counts the bytes read of it."""

    def __init__(self, file: io.FileIO) -> None:
        super().__init__()
        self._file = file
        self.count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int | None:
        read = self._file.readinto(buffer)
        self.count += read or 0
        return read

    def close(self) -> None:
        self._file.close()
        super().close()
