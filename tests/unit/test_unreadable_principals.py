"""A principal whose saved state can't be read: it is begun anew and told, and does not fail with every event."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from detector import partitions
from detector.detectors.transfer_rate import TransferRate
from detector.scoring import Scoring
from tests.support.events import envelope, sending
from tests.support.score_stage import record, stage_of

PARTITION = ("events", 0)


class Reshaped(TransferRate):
    """Reads no state that was saved."""

    def load(self, data: Any) -> Any:
        raise IndexError(f"not my shape: {data}")


def scoring(kind: type[TransferRate] = TransferRate) -> Scoring:
    return Scoring([kind(kind.Settings())])


def saved(agents: int = 3, pinned: str = "") -> dict[str, Any]:
    """What a release left that knew some agents, one of them under a stop."""
    before = scoring()
    before.open(PARTITION)
    for number in range(agents):
        before.step(envelope(sending(60.0 * number, f"agent-{number}")))
    principals = before._partitions[PARTITION].principals
    for principal in principals:
        principals.pin(principal, principal.id == pinned)  # type: ignore[arg-type]
    head, capture = before.capture(PARTITION, whole=True)
    return {**msgspec.msgpack.decode(msgspec.msgpack.encode(head)), "principals": capture.take(10**6)}


def test_after_a_deploy_every_principal_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What another program wrote may have another shape, though no setting changed."""
    state = saved()
    monkeypatch.setattr(partitions, "CHECKED", 0)
    scoring(Reshaped).open(PARTITION, state)
    monkeypatch.setattr("detector.VERSION", "another")
    with pytest.raises(IndexError, match="not my shape"):
        scoring(Reshaped).open(PARTITION, state)


@pytest.fixture
def after(monkeypatch: pytest.MonkeyPatch) -> Scoring:
    """A program that met a state it can't read, in spite of all checks."""
    monkeypatch.setattr(partitions, "CHECKED", 0)
    opened = scoring(Reshaped)
    opened.open(PARTITION, saved(pinned="agent-0"))
    return opened


def test_who_can_not_be_read_is_begun_anew(after: Scoring) -> None:
    first = after.step(envelope(sending(600.0, "agent-0")))
    assert first.verdict == "scored"
    assert (
        first.forgot == f"what was saved of agent-0 can't be read: IndexError: {first.forgot.partition('Error: ')[2]}"
    )
    second = after.step(envelope(sending(660.0, "agent-0")))
    assert (second.verdict, second.forgot) == ("scored", "")
    rows = {row[0]: row for row in after.snapshot(PARTITION)["principals"]}
    assert set(rows) == {"agent-0", "agent-1", "agent-2"}
    assert rows["agent-0"][5] == 2, "its events are counted from now on"


def test_it_stays_under_a_stop_and_a_member_of_its_role(after: Scoring) -> None:
    state = after._partitions[PARTITION]
    members = {role: group.members for role, group in state.accumulating.roles.items()}
    for number in range(3):
        assert after.step(envelope(sending(600.0 + number, f"agent-{number}"))).forgot
    assert {principal.id for principal in state.principals if principal.pinned} == {"agent-0"}
    assert state.principals._pinned == 1
    assert {role: group.members for role, group in state.accumulating.roles.items()} == members


def test_the_next_checkpoint_holds_the_new_state(after: Scoring) -> None:
    whole, capture = after.capture(PARTITION, whole=True)
    parts = [{**whole, "principals": capture.take(10**6)}]
    after.step(envelope(sending(600.0, "agent-1")))
    more, capture = after.capture(PARTITION, whole=False)
    parts.append({**more, "principals": capture.take(10**6)})
    twin = scoring(Reshaped)
    twin.open(PARTITION, parts[0], parts[1:])
    assert twin.snapshot(PARTITION)["principals"] == after.snapshot(PARTITION)["principals"]


def test_it_is_counted_and_told(tmp_path: Path, after: Scoring) -> None:
    stage = stage_of(tmp_path, [PARTITION])
    stage.scoring = after
    batch = stage.take(
        {PARTITION: [record(sending(600.0 + n, "agent-2"), PARTITION, n) for n in range(3)]}, {PARTITION}
    )
    assert [verdict for _, verdict in batch.events] == ["scored"] * 3
    assert stage.shell.metrics.registry.get_sample_value("detector_principals_unreadable_total") == 1.0
