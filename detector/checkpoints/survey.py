"""Which partitions have checkpoints: for those who only look."""

from pathlib import Path
from urllib.parse import urlsplit

from detector.checkpoints.errors import CheckpointError
from detector.checkpoints.reader import Checkpoint
from detector.checkpoints.storage import open_storage
from detector.checkpoints.store import CheckpointStore

Partition = tuple[str, int]

# Higher than any group's: who only looks is behind nobody.
_GENERATION = 2**31 - 1


def checkpoints(url: str, stage: str) -> dict[Partition, Checkpoint]:
    """The last whole checkpoint of every partition of a stage; nothing is written.

    Raises:
        CheckpointError: There is none, or they can't be read; the message says why, and what to do.
    """
    parts = urlsplit(url)
    folder = Path(parts.netloc + parts.path if parts.scheme else url) / stage
    if parts.scheme in {"", "file"} and not folder.is_dir():
        raise CheckpointError(f"no checkpoints in {folder}: is `state.url` that of the running service?")
    try:
        files = open_storage(url, stage, "survey")
        found = [
            (topic, int(number)) for topic in files.names("") for number in files.names(topic) if number.isdecimal()
        ]
    except OSError as error:
        raise CheckpointError(f"{url} can't be read: {error}") from error
    loaded = CheckpointStore(url, stage).load(sorted(found), _GENERATION)
    whole = {partition: checkpoint for partition, checkpoint in loaded.items() if checkpoint is not None}
    if not whole:
        raise CheckpointError(f"no checkpoints below {url}: the service saves the first after `state.every` seconds")
    return whole
