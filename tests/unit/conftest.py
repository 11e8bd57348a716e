"""What unit tests share."""

from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from tests.support.checkpoints import Home


@pytest.fixture(params=["file", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty place to keep state in: a folder, or an object store."""
    if request.param == "file":
        yield f"file://{tmp_path}"
        return
    files = fsspec.filesystem("memory")
    yield f"memory://bucket{tmp_path}"
    if files.exists("/bucket"):
        files.rm("/bucket", recursive=True)


@pytest.fixture
def home(url: str) -> Home:
    """The partition's files there."""
    return Home(url)
