"""Making kafka-python's clients so that one that fails leaves nothing behind, and says why."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from kafka import errors
from kafka.net.compat import KafkaNetClient
from kafka.net.connection import KafkaConnection
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector

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
        return factory(**{**config, "kafka_client": connection})
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


class _Manager(KafkaConnectionManager):  # type: ignore[misc]
    """Remembers the connection that was tried last."""

    _last: KafkaConnection | None = None

    def get_connection(self, *args: Any, **options: Any) -> KafkaConnection:
        self._last = super().get_connection(*args, **options)
        return self._last

    @property
    def failure(self) -> errors.KafkaError | None:
        """Why the last connection came to nothing; None if it did not, or there was none."""
        tried = self._last.init_future.exception if self._last is not None else None
        return tried if isinstance(tried, errors.KafkaError) else None
