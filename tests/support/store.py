"""Event stores for tests: embedded, and behind HTTP. Each test has a database of its own."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from detector.store.client import Store, connect
from detector.store.migrate import migrate
from tests.support.clickhouse_front import ClickHouseFront


def unique_database() -> str:
    """A name that no other test uses."""
    return f"test_{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def embedded_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one path that this process may open an embedded store at. Not opened here."""
    pytest.importorskip("chdb", reason="pip install -e '.[embedded]'")
    return tmp_path_factory.mktemp("store")


@pytest.fixture
def embedded_url(embedded_path: Path) -> str:
    """The URL of an embedded store with a database of its own, which does not exist yet."""
    return f"chdb://{embedded_path}?database={unique_database()}"


@pytest.fixture
def embedded_store(embedded_url: str) -> Iterator[Store]:
    """A migrated embedded store with a database of its own."""
    with connect(embedded_url) as store:
        migrate(store)
        yield store
        store.client.command(f"DROP DATABASE {store.database}", use_database=False)


@pytest.fixture(scope="session")
def clickhouse_front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseFront]:
    """A ClickHouse server, as far as the client can tell. Clear its faults before use."""
    pytest.importorskip("chdb", reason="pip install -e '.[embedded]'")
    with ClickHouseFront(tmp_path_factory.mktemp("front")) as front:
        yield front


@pytest.fixture
def server_store(clickhouse_front: ClickHouseFront) -> Iterator[Store]:
    """A migrated store behind HTTP with a database of its own, and a server that makes no faults yet."""
    clickhouse_front.faults.clear()
    with connect(clickhouse_front.url(unique_database())) as store:
        migrate(store)
        clickhouse_front.faults.clear()
        yield store
        clickhouse_front.faults.clear()
        store.client.command(f"DROP DATABASE {store.database}", use_database=False)
