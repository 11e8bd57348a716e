"""History out of files, one message a line."""

from collections.abc import Iterable, Iterator

from detector.history.rows import Row
from detector.sources.files import FileSource


def from_files(sources: Iterable[FileSource]) -> Iterator[Row]:
    """The lines of files, one file after the other, as `detector replay` reads them.

    Raises:
        SourceError: A file can't be read.
    """
    for source in sources:
        for record in source:
            yield Row(record.topic, record.partition, record.offset, record.received_at, record.value)
