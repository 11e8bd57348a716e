"""Programs that judge the files of deploy/: those of the `dev` extra, and what the system has."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
_BESIDE: Final = Path(sys.executable).parent


def lint(program: str, *arguments: str | Path, remedy: str = "pip install -e '.[dev]'") -> tuple[int, str]:
    """The exit status of a program and what it said; without it the test is skipped, in CI it fails."""
    beside = _BESIDE / program
    found = str(beside) if beside.exists() else shutil.which(program)
    if found is None:
        said = f"{program} is not installed: {remedy}"
        if os.environ.get("CI") == "true":
            pytest.fail(f"what is deployed must be checked in CI: {said}", pytrace=False)
        pytest.skip(said)
    command = [found, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout + done.stderr
