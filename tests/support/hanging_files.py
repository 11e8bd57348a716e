"""An object store that hangs: `hanging://` is a folder of this machine whose files are not read while a gate is shut.

The gate is a file, so that a test can shut it for workers in other processes: reading and listing wait while it is
there.
"""

import time
from pathlib import Path
from typing import Any, Final

import fsspec
from fsspec.implementations.local import LocalFileSystem

SCHEME: Final = "hanging"
GATE: Final = "shut"


class HangingFiles(LocalFileSystem):  # type: ignore[misc]
    """Files below a folder; a file `shut` in that folder, or in one above it, is the gate."""

    protocol = SCHEME
    auto_mkdir = True

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "auto_mkdir": True})

    def cat_file(self, path: str, *args: Any, **options: Any) -> bytes:
        """As fsspec has it, when the gate opens."""
        _wait(path)
        payload: bytes = super().cat_file(path, *args, **options)
        return payload

    def ls(self, path: str, *args: Any, **options: Any) -> Any:
        """As fsspec has it, when the gate opens."""
        _wait(path)
        return super().ls(path, *args, **options)

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        return LocalFileSystem._strip_protocol(str(path).removeprefix(f"{SCHEME}://"))


def _wait(path: str) -> None:
    gates = [folder / GATE for folder in Path(str(path)).parents]
    while any(gate.exists() for gate in gates):
        time.sleep(0.02)


def register() -> None:
    """Make the scheme known to fsspec."""
    fsspec.register_implementation(SCHEME, HangingFiles, clobber=True)
