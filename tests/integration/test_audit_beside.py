"""Audits while something else has the embedded store open: through its door, or with words that help."""

import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from clickhouse_connect.driver.exceptions import ClickHouseError

from detector.audit import timeline
from detector.audit.answer import AuditError
from detector.audit.beside import open_to_ask, through
from detector.audit.door import SOCKET_NAME, Door
from detector.event_store import EventStore
from detector.sinks.base import Batch
from detector.sinks.clickhouse import ClickHouseSink
from detector.store.client import Store, connect
from detector.store.errors import StoreBusy
from detector.store.verify_rows import RowReader
from tests.support.audited import small
from tests.support.nouns import an_envelope

__all__ = ["small"]
pytestmark = pytest.mark.chdb

ROOT = Path(__file__).parents[2]


@pytest.fixture
def store(small: Store) -> Store:
    return small


def directory(store: Store) -> Path:
    return Path(store.url.removeprefix("chdb://"))


def detector(*words: str, seconds: float = 60) -> subprocess.CompletedProcess[str]:
    """The program, as a user runs it."""
    return subprocess.run(
        [sys.executable, "-m", "detector", "audit", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def test_another_process_asks_through_the_door_while_its_owner_writes(embedded_store: Store) -> None:
    store = embedded_store
    url = f"{store.url}?database={store.database}"
    stop = threading.Event()
    written = [0]

    def write() -> None:
        sink = ClickHouseSink(store.client, database=store.database)
        while not stop.is_set():
            sink.write(Batch(events=[(an_envelope(written[0]), "scored")]))
            written[0] += 1
            time.sleep(0.01)

    writer = threading.Thread(target=write)
    with Door(store):
        writer.start()
        while not written[0]:
            time.sleep(0.01)
        try:
            told = detector("timeline", "--principal", "agent-1", "--store", url, "--format", "csv")
        finally:
            stop.set()
            writer.join()
    assert told.returncode == 0, told.stderr
    lines = told.stdout.splitlines()
    assert lines[0].startswith("time,entry,severity")
    assert 0 < len(lines) - 1 <= written[0]


def test_without_a_door_it_waits_and_then_says_who_has_it(store: Store) -> None:
    program = (
        "import sys; from detector.audit.beside import open_to_ask\n"
        "try:\n  open_to_ask(sys.argv[1], patience=0.3).__enter__()\nexcept Exception as e: print(type(e).__name__, e)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, store.url], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert ran.stdout.startswith("StoreBusy the store at ")
    assert f"(pid {os.getpid()})" in ran.stdout
    assert "`detector run` does" in ran.stdout


def test_an_audit_waits_for_another_one_to_end(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []
    ours = connect(store.url)

    def busy_twice(url: str, **_: object) -> Store:
        tries.append(url)
        if len(tries) < 3:
            raise StoreBusy("the store is open in another process (pid 1): stop it")
        return ours

    monkeypatch.setattr("detector.audit.beside.connect", busy_twice)
    naps: list[float] = []
    with open_to_ask(store.url, clock=lambda: 0.0, sleep=naps.append) as opened:
        assert opened is ours
    assert (len(tries), len(naps)) == (3, 2)


def test_the_door_is_for_its_owner_alone_and_goes_with_it(store: Store) -> None:
    with Door(store):
        mode = (directory(store) / SOCKET_NAME).stat().st_mode
        assert stat.S_ISSOCK(mode)
        assert stat.S_IMODE(mode) == 0o600
    assert not (directory(store) / SOCKET_NAME).exists()


def test_what_a_dead_owner_left_is_no_hindrance(store: Store) -> None:
    (directory(store) / SOCKET_NAME).write_bytes(b"")
    with Door(store), through(directory(store), store.database) as asked:
        assert asked.client.query("SELECT count() FROM events").result_rows == [(5,)]


def test_a_path_that_is_too_long_for_a_socket_can_be_asked(tmp_path: Path) -> None:
    from detector.audit.door import reachable  # noqa: PLC0415

    deep = tmp_path / ("x" * 90) / ("y" * 90)
    deep.mkdir(parents=True)
    with reachable(deep) as path:
        assert len(path) < 100
        Path(path).touch()
    assert (deep / SOCKET_NAME).exists()


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE events_data",
        "INSERT INTO events_data (principal) VALUES ('x')",
        "SELECT 1; DROP TABLE events_data",
        "SELECT file('{secret}')",
        "SELECT arrayMap(file, ['{secret}'])",
        "SELECT * FROM default.`{secret}`",
        "SELECT 1 INTO OUTFILE '{out}'",
        "SET readonly = 0",
        "BACKUP DATABASE default TO File('{out}')",
        "SELECT * FROM system.processes",
        "KILL QUERY WHERE 1",
        "nonsense",
    ],
)
def test_the_door_lets_nothing_but_reading_through_whatever_it_is_asked(
    store: Store, tmp_path: Path, statement: str
) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("swordfish\n")
    told = statement.format(secret=secret, out=tmp_path / "out")
    with Door(store), through(directory(store), store.database) as asked:
        with pytest.raises(ClickHouseError) as refused:
            asked.client.command(told)
        assert "swordfish" not in str(refused.value)
        assert asked.client.query("SELECT count() FROM events").result_rows == [(5,)]
    assert not (tmp_path / "out").exists()


def test_an_identifier_that_is_bound_is_looked_at_too(store: Store) -> None:
    with Door(store), through(directory(store), store.database) as asked:
        query = "SELECT count() FROM {t:Identifier}"
        assert asked.client.query(query, parameters={"t": "events"}).result_rows == [(5,)]
        with pytest.raises(ClickHouseError):
            asked.client.query("SELECT * FROM {d:Identifier}.one", parameters={"d": "default"})


def test_questions_through_the_door_have_the_same_answer(store: Store) -> None:
    direct = timeline.of_principal(store, "agent-1")
    with Door(store), through(directory(store), store.database) as asked:
        assert timeline.of_principal(asked, "agent-1") == direct


def test_the_door_takes_how_a_statement_is_run_within_bounds(store: Store) -> None:
    """Verification asks for large blocks that one thread sorts; nobody gets more than the door allows."""
    ask = "SELECT getSetting('max_block_size'), getSetting('max_threads'), getSetting('readonly')"
    with Door(store), through(directory(store), store.database) as asked:
        taken = RowReader(asked.client, store.database).settings
        assert {"max_threads", "max_block_size", "preferred_block_size_bytes"} <= set(taken)
        assert asked.client.query(ask, settings=dict(taken)).result_rows == [(131_072, 1, 1)]
        greedy = {"max_block_size": 10**9, "max_threads": 64}
        assert asked.client.query(ask, settings=greedy).result_rows == [(1 << 20, 2, 1)]
        odd = {"max_block_size": "1, readonly = 0", "max_threads": "nan"}
        assert asked.client.query(ask, settings=odd).result_rows == asked.client.query(ask).result_rows


def test_a_service_waits_for_an_audit_that_has_the_store_open(store: Store) -> None:
    tries = []

    def opening() -> Store:
        tries.append(1)
        if len(tries) < 3:
            raise StoreBusy("the store is open in another process (pid 1)")
        return connect(store.url)

    service = EventStore(opening, soon=0.01, late=0.01)
    service.open(20.0)
    until = time.monotonic() + 20
    while service.opened is None and time.monotonic() < until:
        time.sleep(0.01)
    assert (service.opened is not None, len(tries)) == (True, 3)
    service.close()


def test_what_is_asked_about_may_be_long(store: Store) -> None:
    """The client sends parameters that are too long for a URL as a form: an incident has thousands of events."""
    names = [f"event-{number:06}-ünd" for number in range(5_000)]
    ask = "SELECT length({names:Array(String)}), {names:Array(String)}[5000]"
    with Door(store), through(directory(store), store.database) as asked:
        assert asked.client.query(ask, parameters={"names": names}).result_rows == [(5_000, names[-1])]
        with pytest.raises(ClickHouseError):
            asked.client.query("SELECT {n:Array(String)}, file('/etc/passwd')", parameters={"n": names})


def test_closing_the_door_cancels_what_is_asked(store: Store) -> None:
    door = Door(store)
    failed: list[Exception] = []

    def ask() -> None:
        with through(directory(store), store.database) as asked:
            try:
                asked.client.query("SELECT count() FROM numbers(10000000000000)")
            except Exception as error:  # noqa: BLE001 - it is looked at below
                failed.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    running = "SELECT count() FROM system.processes WHERE query LIKE 'SELECT count() FROM numbers(1000%'"
    until = time.monotonic() + 20
    while not store.client.query(running).result_rows[0][0] and time.monotonic() < until:
        time.sleep(0.02)
    assert store.client.query(running).result_rows[0][0] == 1
    door.close(20.0)
    asking.join(20)
    assert "cancelled" in str(failed[0])
    assert store.client.query(running).result_rows[0][0] == 0
    door.close()


def test_a_server_has_no_door(server_store: Store) -> None:
    with Door(server_store):
        pass


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(AuditError, match="there is no store at"), open_to_ask(f"chdb://{tmp_path}/typo"):
        pass
    assert not (tmp_path / "typo").exists()


def test_a_store_from_before_is_told_with_the_remedy(embedded_store: Store) -> None:
    store = embedded_store
    store.client.command("DROP VIEW exposures")
    with (
        pytest.raises(AuditError, match="detector store migrate"),
        open_to_ask(f"{store.url}?database={store.database}") as opened,
    ):
        timeline.of_principal(opened, "agent-1")
