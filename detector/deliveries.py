"""The sinks that a configuration asks for, in the order in which they are to be opened."""

from collections.abc import Mapping
from typing import Any

from detector.auditing import LinkedStore, anchor_sink
from detector.config import Config
from detector.event_store import EventStore, EventStoreSink
from detector.http_settings import http_options
from detector.kafka_settings import written
from detector.renderings import RENDERINGS
from detector.sinks.alertmanager import AlertmanagerSink
from detector.sinks.base import Sink
from detector.sinks.kafka import KafkaSink
from detector.sinks.webhook import WebhookSink


def sinks(config: Config, client: Mapping[str, Any], store: EventStore | None) -> list[Sink]:
    """The topics first, since what others refuse goes there; anchors before the store, to be closed after it.

    Args:
        config: What is configured.
        client: kafka-python's settings for bootstrap and security.
        store: The event store, if there is one.

    Raises:
        ConfigError: A secret or a certificate is not where it should be.
    """
    encode_alert = RENDERINGS[config.kafka.alert_format]
    made: list[Sink] = [KafkaSink(client, written(config.kafka.topics), encode_alert=encode_alert)]
    if store is not None:
        chain = LinkedStore(config)
        anchors = anchor_sink(config, chain, client)
        # Closed after the store's, so that the last anchor is of the chain's end.
        made += [anchors] if anchors is not None else []
        made.append(EventStoreSink(store, chain.sink))
    if config.alertmanager is not None:
        to = config.alertmanager
        http = http_options(to.ca_file, to.token)
        made.append(AlertmanagerSink(to.url, heartbeat=to.heartbeat, http=http))
    if config.webhook is not None:
        secret, encode = config.webhook.secret.reveal().encode(), RENDERINGS[config.webhook.format]
        http = http_options(config.webhook.ca_file)
        made.append(WebhookSink(config.webhook.url, secret, http=http, encode=encode))
    return made
