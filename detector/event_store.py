"""The event store of a running service: it may be away at the start, and is opened and made ready when it answers."""

import threading
from collections.abc import Callable, Mapping
from typing import Final

import structlog

from detector.audit.door import Door
from detector.auditing import seal_recorder
from detector.bounded import within
from detector.config import Config
from detector.sinks.base import Batch, Noun, Refused, Sink, SinkUnavailable
from detector.sinks.clickhouse import ClickHouseSink
from detector.store.client import Store, connect
from detector.store.errors import StoreUnavailable
from detector.store.migrate import migrate
from detector.store.queries import stored_positions
from detector.store.retention import apply as apply_retention

log = structlog.get_logger(__name__)

# Between two tries to open a store that is away, at first and at most.
SOON_SECONDS: Final = 0.5
LATE_SECONDS: Final = 10.0

# Between two looks at what is held and what expires: retention is in days.
UPKEEP_SECONDS: Final = 6 * 3600.0


def open_store(config: Config) -> Store | None:
    """The event store, its schema up to date; None when none is configured.

    Raises:
        StoreUnavailable: It can't be reached now.
        StoreError: It can't be used as it is configured, or be brought up to date.
        ConfigError: Its secret is missing.
    """
    return None if config.store.url is None else opened(config.store.url, config)


def opened(url: str, config: Config) -> Store:
    """The store at a URL, its schema, retention and holds up to date; raises as `open_store`."""
    store = connect(url, password=config.store.secret, ca_cert=config.store.ca_file)
    try:
        for migration in migrate(store, cluster=config.store.cluster):
            log.info("store_migrated", version=migration.version, name=migration.name)
        recorder = seal_recorder(config, store, anchored=url == config.store.url)
        retention = config.store.retention.model_dump()
        apply_retention(store, retention, cluster=config.store.cluster, recorder=recorder)
    except BaseException:
        store.close()
        raise
    return store


class EventStore:
    """Opens a store, for as long as it takes.

    Args:
        opening: Opens it, with its schema up to date.
        soon: Seconds from the first failure to the next try; doubled with each, up to `late`.
        late: Seconds between tries at most.
        upkeep: Seconds after which it is opened once more, on the side, for retention and holds to be brought up to
            date again.
    """

    def __init__(
        self,
        opening: Callable[[], Store],
        *,
        soon: float = SOON_SECONDS,
        late: float = LATE_SECONDS,
        upkeep: float = UPKEEP_SECONDS,
    ) -> None:
        self._opening = opening
        self._soon, self._late, self._upkeep = soon, late, upkeep
        self._tried = threading.Event()
        self._closed = threading.Event()
        self._store: Store | None = None
        self._door: Door | None = None
        self._refused: Exception | None = None
        self.trouble: str | None = "the store has not answered yet"
        """Why it is not open; None when it is."""

    def open(self, seconds: float) -> None:
        """Open it. A store that is away, or takes longer than so many seconds, is waited for in the background.

        Raises:
            StoreError, ConfigError: It can't be used as it is configured; waiting would not help.
        """
        threading.Thread(target=self._keep_trying, name="store-opening", daemon=True).start()
        if not self._tried.wait(seconds):
            self.trouble = f"the store has not answered in {seconds:g} s"
            log.warning("store_away", why=self.trouble)
        elif self._refused is not None:
            self._closed.set()
            raise self._refused

    @property
    def opened(self) -> Store | None:
        """The store, when it is open."""
        return self._store

    def close(self) -> None:
        """Close it, or give up opening it."""
        self._closed.set()
        if self._door is not None:
            self._door.close()
        if self._store is not None:
            self._store.close()

    def _keep_trying(self) -> None:
        pause = self._soon
        while not self._closed.is_set():
            try:
                store = self._opening()
            except Exception as error:  # noqa: BLE001 - whatever it is, it is told, and may have been mended since
                self.trouble = str(error)
                if not isinstance(error, StoreUnavailable):
                    self._refused = self._refused or error
                log.warning("store_away", why=self.trouble, again_in=pause)
            else:
                self._store, self._door, self.trouble = store, Door(store), None
                log.info("store_opened", url=store.url)
                self._tried.set()
                if self._closed.is_set():
                    self._door.close()
                    store.close()
                self._keep_up()
                return
            self._tried.set()
            self._closed.wait(pause)
            pause = min(2.0 * pause, self._late)

    def _keep_up(self) -> None:
        """What a hold covers goes on to be written: it must be marked before its month expires."""
        while not self._closed.wait(self._upkeep):
            try:
                self._opening().close()
            except Exception as error:  # noqa: BLE001 - it is tried again, and nothing waits for it
                log.warning("store_upkeep_failed", why=str(error), again_in=self._upkeep)


class EventStoreSink(Sink):
    """The sink of a store that may still have to be opened: until then it can take nothing.

    Args:
        store: The store.
        make: Makes the sink that writes to it, once it is open.
    """

    name = "clickhouse"
    accepts: frozenset[Noun] = ClickHouseSink.accepts
    batch = ClickHouseSink.batch
    linger = ClickHouseSink.linger

    def __init__(self, store: EventStore, make: Callable[[Store], Sink]) -> None:
        self._store = store
        self._make = make
        self._sink: Sink | None = None
        self._closed = False

    def write(self, batch: Batch) -> list[Refused]:
        """Write the batch, as the store's own sink does."""
        if self._closed:
            raise ValueError(f"the sink {self.name} is closed")
        if batch.empty:
            return []
        if self._sink is None:
            store = self._store.opened
            if store is None:
                raise SinkUnavailable(f"the store can't take it now: {self._store.trouble}")
            self._sink = self._make(store)
        return self._sink.write(batch)

    def close(self) -> None:
        """Refuse further writes. The store stays open."""
        self._closed = True
        if self._sink is not None:
            self._sink.close()


class Stored:
    """What the store has of a partition from an offset on; nothing is known of one that does not answer.

    Args:
        store: The store, if there is one.
        patience: Seconds to wait for an answer.
    """

    def __init__(self, store: EventStore | None, patience: float) -> None:
        self._store = store
        self._patience = patience

    def __call__(self, topic: str, partition: int, offset: int) -> Mapping[tuple[int, int], str]:
        """By (offset, index in the message) the id of the event there, "" for a reject."""
        store = self._store.opened if self._store is not None else None
        if store is None:
            return {}
        try:
            return within(self._patience, lambda: stored_positions(store.client, topic, partition, offset))
        except Exception as error:  # noqa: BLE001 - writing twice is harmless, the store's views show no double
            log.warning("stored_positions_unknown", why=str(error))
            return {}
