"""The place of the checkpoints hangs while a worker restores: it says so, gives up in time, and goes on later."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import pytest
import yaml

from tests.support.clean_replay import assert_clean
from tests.support.hanging_files import GATE, SCHEME
from tests.support.kafka import publish
from tests.support.receiver import Receiver
from tests.support.service import Deployment, until
from tests.support.soak_stream import episode
from tests.support.workers import IMPATIENT, Worker

# Longer than it takes to be told as slow, shorter than the watchdog waits.
SHORT: Final = msgspec.structs.replace(IMPATIENT, state=12.0)

pytestmark = [pytest.mark.kafka, pytest.mark.chdb, pytest.mark.timeout(180)]


@pytest.fixture
def gate(deployment: Deployment) -> Iterator[Path]:
    """While it is there, no checkpoint is read."""
    state = deployment.folder / "state"
    state.mkdir()
    settings = yaml.safe_load(deployment.config.read_text())
    settings["state"]["url"] = f"{SCHEME}://{state}"
    deployment.config.write_text(yaml.safe_dump(settings))
    gate = state / GATE
    yield gate
    gate.unlink(missing_ok=True)


def test_a_restore_that_hangs_is_told_and_given_up(
    deployment: Deployment, url: str, hook: Receiver, gate: Path
) -> None:
    messages = list(episode(3, 5))
    publish(deployment.bootstrap, deployment.topics["events"], messages[:1000])
    with Worker(deployment, "one", patience=SHORT) as first:
        until(deployment.is_done, first)
        first.kill()
    publish(deployment.bootstrap, deployment.topics["events"], messages[1000:])
    gate.touch()
    with Worker(deployment, "one", patience=SHORT) as hung:
        until(lambda: "has not been read for" in hung.get("/readyz")[1], hung, seconds=60)
        assert hung.get("/readyz")[0] == 503
        assert hung.get("/healthz")[0] == 200, "not yet"
        assert hung.process.wait(60) == 1, "what restarts it is to restart it"
        assert "can't be read: no answer in 12 s; does the place of `state.url` hang?" in hung.log
    gate.unlink()
    with Worker(deployment, "one", patience=SHORT) as last:
        until(deployment.is_done, last)
        assert last.stop() == 0
    assert_clean(deployment, url, [request.body for request in hook.requests])
