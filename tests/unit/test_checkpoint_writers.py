"""Checkpoints and those who write them: one at a time, as of one moment, and those of the program before this one."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from detector.checkpoints import CheckpointError, CheckpointFenced, Piece
from detector.checkpoints.manifest import digest
from detector.checkpoints.tenure import Tenure
from tests.support.checkpoints import PARTITION, Home, crash_after, load, opened, save, told


def format_1(home: Home, *states: dict[str, Any], version: int = 1) -> None:
    """What the program before this one left."""
    saved = []
    for number, state in enumerate(states):
        payload = msgspec.msgpack.encode(state)
        home.write(f"state-{number}.msgpack", payload)
        saved.append({"file": f"state-{number}.msgpack", "blake2b": digest(payload), "offset": 100 * (number + 1)})
    current, previous = saved[-1], saved[-2] if len(saved) > 1 else None
    manifest = {"version": version, "current": current, "previous": previous}
    home.write("manifest.json", msgspec.json.encode(manifest))


def test_a_checkpoint_of_format_1_is_taken_over(url: str, home: Home) -> None:
    save(opened(url), 1)  # the folder
    for name in home.names():
        home.write(name, None)
    format_1(home, {"seen": 1}, {"seen": 2})
    kept = opened(url)
    assert told(kept.load([PARTITION], 1)[PARTITION]) == (200, [{"seen": 2}])
    save(kept, 300, seen=3)
    assert told(load(url)) == (300, [{"seen": 3}])
    assert home.names("state-"), "the only one to fall back to"
    save(kept, 400)
    assert not home.names("state-")
    assert "manifest.json" not in home.names()


def test_a_damaged_state_of_format_1_falls_back_too(url: str, home: Home) -> None:
    save(opened(url), 1)
    for name in home.names():
        home.write(name, None)
    format_1(home, {"seen": 1}, {"seen": 2})
    home.write("state-1.msgpack", b"torn")
    assert told(load(url)) == (100, [{"seen": 1}])
    home.write("state-0.msgpack", None)
    with pytest.raises(CheckpointError, match=r"neither state in .* is whole: restore"):
        load(url)
    home.write("manifest.json", b"[1]")
    with pytest.raises(CheckpointError, match="can't be understood"):
        load(url)
    format_1(home, {}, version=7)
    with pytest.raises(CheckpointError, match="format 7"):
        load(url)


def test_a_zombie_writes_nothing_more(url: str, home: Home) -> None:
    zombie, owner = opened(url, "zombie"), opened(url, "owner")
    save(zombie, 10, generation=5)
    owner.load([PARTITION], 6)
    save(owner, 30, generation=6, of="owner")
    before = home.names()
    with pytest.raises(CheckpointFenced, match="out of date and stops") as stopped:
        save(zombie, 99, generation=5, of="zombie")
    assert stopped.value.partition == PARTITION
    assert home.names() == before
    assert told(load(url, 6)) == (30, [{"of": "owner"}])


def test_a_zombie_s_late_manifest_is_never_taken_for_newer(
    url: str, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looked, saw nobody, stood still for long, and writes: whatever it writes counts for nothing."""
    zombie, owner = opened(url, "zombie"), opened(url, "owner")
    save(zombie, 10, generation=5)
    save(zombie, 20, generation=5)
    owner.load([PARTITION], 6)

    def meanwhile(*_: object) -> None:
        if not home.names("manifest-0000-0000000006"):
            save(owner, 30, generation=6, of="owner")
            save(owner, 40, whole=False, generation=6)

    with monkeypatch.context() as paused:
        paused.setattr(zombie, "_check_fence", meanwhile)
        for offset in (98, 99, 100):
            save(zombie, offset, generation=5, of="zombie")
    assert told(load(url, 6)) == (40, [{"of": "owner"}, {}])
    save(owner, 50, whole=False, generation=6)
    assert told(load(url, 6)) == (50, [{"of": "owner"}, {}, {}])
    assert not [name for name in home.names() if name.endswith(("zombie.bin", "zombie.json"))]


def test_of_two_writers_in_one_generation_the_group_s_member_goes_on(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = opened(url, "a"), opened(url, "b")
    for each in (first, second):
        each.load([PARTITION], 3)
    save(first, 10, generation=3, of="a")
    with pytest.raises(CheckpointError, match="the group must tell"):
        save(second, 11, generation=3, of="b")
    second = opened(url, "b")
    second._tenures = {PARTITION: Tenure("b", [], 3)}
    with monkeypatch.context() as racing:
        racing.setattr(second, "_check_fence", lambda *_: None)
        save(second, 11, generation=3, of="b")
    for each in (first, second):
        for _ in range(2):
            with pytest.raises(CheckpointError, match="the group must tell"):
                save(each, 12, generation=3)
    assert told(load(url, 3)) == (11, [{"of": "b"}]), "one of the two, whole"
    assert first.unproved([PARTITION]) == second.unproved([PARTITION]) == [PARTITION]
    first.prove([PARTITION])
    save(first, 13, generation=3, of="a")
    with pytest.raises(CheckpointError, match="the group must tell"):
        save(second, 14, generation=3, of="b")
    assert told(load(url, 3)) == (13, [{"of": "a"}])


def test_a_static_member_that_was_started_anew_outlasts_its_predecessor_s_last_write(url: str) -> None:
    """It keeps the generation; what the old process had under way may arrive when the new one has restored."""
    old = opened(url, "old")
    save(old, 10, generation=5)
    new = opened(url, "new")
    assert told(new.load([PARTITION], 5)[PARTITION]) == (10, [{}])
    save(old, 20, generation=5)
    with pytest.raises(CheckpointError, match="the group must tell"):
        save(new, 15, generation=5)
    new.prove(new.unproved([PARTITION]))
    save(new, 25, generation=5, of="new")
    with pytest.raises(CheckpointFenced):
        save(old, 30, generation=5)
    assert told(load(url, 6)) == (25, [{"of": "new"}])


def test_a_member_that_stays_through_rebalances_goes_on(url: str) -> None:
    kept = opened(url)
    kept.load([PARTITION], 1)
    save(kept, 10, seen=1)
    save(kept, 20, whole=False, generation=2)
    save(kept, 30, whole=False, generation=7)
    assert told(load(url, 8)) == (30, [{"seen": 1}, {}, {}])


def test_a_group_that_began_anew_goes_on_when_it_has_proved_it(url: str) -> None:
    """Kafka forgets a group that was away for a week: its generations begin at one again."""
    save(opened(url), 10, generation=57, seen=1)
    anew = opened(url, "anew")
    assert told(anew.load([PARTITION], 1)[PARTITION]) == (10, [{"seen": 1}])
    assert anew.unproved([PARTITION]) == [PARTITION]
    anew.prove([PARTITION])
    assert anew.unproved([PARTITION]) == []
    save(anew, 20, generation=1, seen=2)
    assert told(load(url, 2)) == (20, [{"seen": 2}])
    assert opened(url).unproved([PARTITION]) == []


def test_a_writer_of_the_era_before_is_out_of_date(url: str) -> None:
    old = opened(url)
    save(old, 10, generation=57)
    anew = opened(url, "anew")
    anew.load([PARTITION], 1)
    with pytest.raises(CheckpointError, match="the group must tell"):
        save(anew, 20, generation=1)
    anew.prove([PARTITION])
    save(anew, 20, generation=1)
    for _ in range(2):
        with pytest.raises(CheckpointError, match="the group must tell"):
            save(old, 30, generation=58)
    assert old.unproved([PARTITION]) == [PARTITION], "it is no member, so it will never be"
    assert told(load(url, 2)) == (20, [{}])


def test_a_zombie_of_an_era_that_came_to_nothing_ends_no_owner(url: str) -> None:
    """The group began anew twice, and of the first time a member comes back that had been accepted."""
    save(opened(url), 10, generation=5)
    zombie, owner = opened(url, "zombie"), opened(url, "owner")
    zombie.load([PARTITION], 1)
    zombie.prove([PARTITION])
    owner.load([PARTITION], 6)
    save(zombie, 11, generation=1)
    with pytest.raises(CheckpointError, match="the group must tell"):
        save(owner, 20, generation=6)
    owner.prove(owner.unproved([PARTITION]))
    save(owner, 20, generation=6, of="owner")
    with pytest.raises(CheckpointFenced):
        save(zombie, 12, generation=1)
    assert told(load(url, 7)) == (20, [{"of": "owner"}])


@pytest.mark.parametrize("valid", [0, 1], ids=["before the first manifest", "after the first manifest"])
def test_after_a_crash_every_partition_is_as_of_one_moment(url: str, valid: int) -> None:
    both = [("t", 0), ("t", 1)]
    kept = opened(url)
    kept.save({partition: (10, Piece({"seen": 1}, whole=True)) for partition in both})
    with crash_after(kept, valid):
        kept.save({partition: (20, Piece({"seen": 2}, whole=False)) for partition in both})
    again = opened(url, "b")
    for partition, found in again.load(both, 1).items():
        assert told(found) == (10, [{"seen": 1}]), partition
    again.save({partition: (30, Piece({"seen": 3}, whole=True)) for partition in both}, 1)
    for partition in both:
        assert told(opened(url).load([partition], 1)[partition]) == (30, [{"seen": 3}])


def test_a_crash_at_the_first_checkpoint_of_all_leaves_none(url: str) -> None:
    both = [("t", 0), ("t", 1)]
    kept = opened(url)
    with crash_after(kept, 1):
        kept.save({partition: (20, Piece({}, whole=True)) for partition in both})
    assert opened(url, "b").load(both, 1) == dict.fromkeys(both)


def test_a_partition_whose_folder_was_moved_away_holds_no_other_back(tmp_path: Path) -> None:
    opened(str(tmp_path)).save({("t", number): (10, Piece({}, whole=True)) for number in (0, 1)})
    (tmp_path / "score" / "t" / "1").rename(tmp_path / "away")
    found = opened(str(tmp_path), "b").load([("t", 0), ("t", 1)])
    assert told(found["t", 0]) == (10, [{}])
    assert found["t", 1] is None
