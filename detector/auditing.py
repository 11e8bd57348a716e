"""From a configuration to a store whose rows are covered by a chain, and to the anchors of that chain."""

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import structlog

from detector.config import Config
from detector.config_base import ConfigError
from detector.config_versions import config_version, short_hash
from detector.http_settings import http_options
from detector.integrity.anchor import Signer, private_key
from detector.integrity.chain import Head
from detector.kafka_settings import client_settings
from detector.records import OperatorAction
from detector.sinks.anchor_places import AnchorFile, AnchorTopic, AnchorWebhook, StoreCopy
from detector.sinks.anchors import AnchorSink, Place
from detector.sinks.base import SinkUnavailable
from detector.sinks.clickhouse import ClickHouseSink
from detector.sinks.clickhouse_insert import ask
from detector.sinks.clickhouse_links import LinkWriter
from detector.store.client import Store
from detector.store.errors import StoreError, StoreUnavailable
from detector.store.seals import Recorder

log = structlog.get_logger(__name__)

_KNOWN: Final = "SELECT count() FROM config_versions_data WHERE hash = {hash:String}"


class LinkedStore:
    """One run's chain in an event store that may be opened later.

    Args:
        config: names the process, if it has a name.
        clock: unix seconds.
    """

    def __init__(self, config: Config, clock: Callable[[], float] = time.time) -> None:
        self.chain = f"{config.kafka.instance_id or 'detector'}-{secrets.token_hex(8)}"
        """The name of the chain: no other run of any process has it."""
        self._clock = clock
        self._version = config_version(config, datetime.fromtimestamp(clock(), UTC))
        self._store: Store | None = None
        self._links: LinkWriter | None = None

    def sink(self, store: Store) -> ClickHouseSink:
        """The sink that writes to the opened store, once this has told it the configuration in force.

        To be asked for until it is there, and then no more.

        Raises:
            SinkUnavailable: the store can't take it now.
        """
        if self._links is None:
            self._links = LinkWriter(store.client, store.database, self.chain, self._clock)
            self._store = store
        sink = ClickHouseSink(store.client, database=store.database, links=self._links)
        if not ask(store.client, _KNOWN, {"hash": self._version.hash})[0][0]:
            for refused in sink.write_config_versions([self._version]):
                log.error("config_version_refused", hash=self._version.hash, why=refused.reason)
        return sink

    def head(self) -> Head | None:
        """How far the chain has come; None before the first write."""
        return self._links.head if self._links is not None else None

    def copy(self) -> StoreCopy:
        """The place in the store for copies of its anchors; the store is open by the time that there are any."""
        assert self._store is not None  # noqa: S101 - asked for after the first write
        return StoreCopy(self._store.client, self._store.database)


def record_actions(config: Config, store: Store, actions: Sequence[OperatorAction], *, anchored: bool = True) -> None:
    """Write what was done to an opened store, under links of a chain of its own, anchored as configured.

    Args:
        config: the configuration.
        store: an opened store.
        actions: what was done.
        anchored: whether the configured anchors are those of this store: they tell of one store only.

    Raises:
        StoreError: the store does not take one of them, or can't now.
        ConfigError: as of `anchor_sink`.
    """
    chain = LinkedStore(config)
    anchors = anchor_sink(config, chain) if anchored else None
    try:
        for refused in chain.sink(store).write_operator_actions(actions):
            raise StoreError(f"the store does not take the record of this: {refused.reason}")
    except SinkUnavailable as error:
        raise StoreUnavailable(str(error)) from error
    finally:
        if anchors is not None:
            anchors.close()


def seal_recorder(config: Config, store: Store, operator: str = "detector", *, anchored: bool = True) -> Recorder:
    """Records the seals of held rows in an opened store, as `record_actions` does."""
    return Recorder(
        record=lambda actions: record_actions(config, store, actions, anchored=anchored),
        operator=operator,
        now=lambda: datetime.now(UTC),
        config=short_hash(config),
    )


def anchor_sink(config: Config, store: LinkedStore, client: Mapping[str, Any] | None = None) -> AnchorSink | None:
    """What anchors the chain as the configuration says; None if it says nothing.

    Args:
        config: the configuration.
        store: whose chain.
        client: kafka-python's settings, if they were made already.

    Raises:
        ConfigError: The key or a secret can't be read, or is none.
    """
    audit = config.audit
    if audit.key is None:
        return None
    try:
        signer = Signer(private_key(audit.key.reveal().encode()))
    except ValueError as error:
        raise ConfigError(f"`audit.key`: {error}") from error
    places: list[Place] = []
    if audit.anchor_file is not None:
        places.append(AnchorFile(audit.anchor_file))
    if audit.anchor_topic is not None:
        places.append(AnchorTopic(client_settings(config.kafka) if client is None else client, audit.anchor_topic))
    if audit.anchor_webhook is not None:
        to = audit.anchor_webhook
        places.append(AnchorWebhook(to.url, to.secret.reveal().encode(), http_options(to.ca_file)))
    return AnchorSink(store.head, signer, places, every=audit.anchor_every, clock=time.time, copy=store.copy)
