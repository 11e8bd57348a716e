"""The soak, short: three minutes in CI, one elsewhere. `make soak MINUTES=20` is the long form."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import msgspec
import pytest

from tests.support.soak import Result

MINUTES: Final = 3.0 if os.environ.get("CI") == "true" else 1.0

pytestmark = [pytest.mark.kafka, pytest.mark.chdb, pytest.mark.alertmanager, pytest.mark.timeout(60 * MINUTES + 500)]


@pytest.mark.usefixtures("kafka_broker")
def test_nothing_is_lost_doubled_or_different(tmp_path: Path) -> None:
    """In a process of its own: the client of a broker that is killed forgets its sockets."""
    found = tmp_path / "result.json"
    command = [sys.executable, "-m", "tests.support.soak", "--minutes", str(MINUTES), "--seed", "7"]
    done = subprocess.run(
        [*command, "--json", str(found)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60 * MINUTES + 450,
        check=False,
    )
    assert found.exists(), done.stderr[-3000:]
    result = msgspec.json.decode(found.read_bytes(), type=Result)
    wrong = {place: difference for place, difference in result.differences.items() if not difference.clean}
    assert not wrong, f"{wrong}\n{done.stdout}"
    assert done.returncode == 0
    assert len(result.faults) > 10 * MINUTES, "too little was broken to show anything"
    assert result.differences["events"].expected > 2_000 * MINUTES
    assert result.differences["findings"].expected > 0
