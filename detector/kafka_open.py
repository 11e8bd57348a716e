"""Making kafka-python's clients so that a broker that is away leaves nothing behind."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from kafka import errors
from kafka.net.compat import KafkaNetClient

ClientT = TypeVar("ClientT")


def open_client(factory: Callable[..., ClientT], config: Mapping[str, Any]) -> ClientT:
    """Make a KafkaConsumer, KafkaProducer or KafkaAdminClient, which talks to a broker at once.

    kafka-python leaves a thread and its sockets behind, for ever, when that fails; here they are closed.

    Raises:
        kafka.errors.KafkaError: No broker answered within `bootstrap_timeout_ms`, or it refused us.
    """
    connections: list[KafkaNetClient] = []

    def connection(**options: Any) -> KafkaNetClient:
        connections.append(KafkaNetClient(**options))
        return connections[-1]

    try:
        return factory(**{**config, "kafka_client": connection})
    except errors.KafkaError:
        for opened in connections:
            opened.close()
        raise
