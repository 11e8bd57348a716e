"""Making kafka-python's clients so that one that fails leaves nothing behind, and says why."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

from kafka import KafkaProducer, errors
from kafka.net.compat import KafkaNetClient
from kafka.net.connection import KafkaConnection
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector

from detector.kafka_selector import QuickSelector

ClientT = TypeVar("ClientT")


def open_client(factory: Callable[..., ClientT], config: Mapping[str, Any]) -> ClientT:
    """Make a KafkaConsumer, KafkaProducer or KafkaAdminClient, which talks to a broker at once.

    kafka-python leaves a thread and its sockets behind, for ever, when that fails; here they are closed. And it says
    "unable to bootstrap" of a certificate that can't be verified and of a wrong password alike; here the last
    connection is asked why.

    Raises:
        kafka.errors.KafkaError: No broker answered within `bootstrap_timeout_ms`, or it refused us, or we it.
    """
    managers: list[_Manager] = []
    clients: list[KafkaNetClient] = []

    def connection(**options: Any) -> KafkaNetClient:
        net = NetworkSelector(**options)
        managers.append(_Manager(net, **options))
        clients.append(KafkaNetClient(net, managers[-1], **options))
        return clients[-1]

    try:
        return factory(**{"selector": QuickSelector, **config, "kafka_client": connection})
    except errors.KafkaError as error:
        why = next((manager.failure for manager in managers if manager.failure is not None), None)
        for client in clients:
            client.close()
        if why is None or not isinstance(error, errors.KafkaTimeoutError):
            raise
        if "SASL" in config.get("security_protocol", "") and "socket disconnected" in str(why):
            # The broker's no and its hang-up come together, and kafka-python drops the former for the latter.
            why = errors.SaslAuthenticationFailedError("hung up at the log-in: check the user and the password")
        raise errors.KafkaTimeoutError(f"{error.args[0] if error.args else error}: {why}") from why


def open_producer(config: Mapping[str, Any]) -> KafkaProducer:
    """Make a KafkaProducer that does not wait for a broker that is away once more when the process ends.

    Raises:
        kafka.errors.KafkaError: See `open_client`.
    """
    producer = open_client(KafkaProducer, config)
    producer._unregister_cleanup()
    return producer


def close_producer(producer: KafkaProducer, seconds: float) -> None:
    """Close a producer within about so many seconds, and give up what could not be sent by then.

    kafka-python gives up closing when it can't flush, as with a broker that is away. Its thread would live on, and
    send what was left when the broker is back: after what was sent anew, so that older things came last.
    """
    try:
        producer.close(seconds)
    except errors.KafkaError:
        producer._sender.force_close()
        producer._sender.join(seconds)
        with suppress(errors.KafkaError):
            producer.close(0)


class _Manager(KafkaConnectionManager):  # type: ignore[misc]
    """Remembers why connections came to nothing."""

    _last: KafkaConnection | None = None
    _why: errors.KafkaError | None = None

    def get_connection(self, *args: Any, **options: Any) -> KafkaConnection:
        found = super().get_connection(*args, **options)
        if found is not self._last:
            self._why, self._last = self.failure, found
        return found

    @property
    def failure(self) -> errors.KafkaError | None:
        """Why connections came to nothing; None if the last one did not, or there was none.

        The last is given only the time that is left, so that one that ran out of it says less than one before.
        """
        if self._last is None or self._last.init_future.succeeded():
            return None
        why = self._last.init_future.exception
        if not isinstance(why, errors.KafkaError):
            return self._why
        return self._why or why if isinstance(why, errors.KafkaTimeoutError) else why
