"""Alerts to a generic webhook: signed, with an idempotency key."""

import hashlib
import hmac
import time
from collections.abc import Callable

import msgspec

from detector.alerts import Alert
from detector.sinks.base import Batch, Noun, Refused, Sink
from detector.sinks.http import HttpClient, HttpOptions

TIMESTAMP_HEADER = "X-Detector-Timestamp"
SIGNATURE_HEADER = "X-Detector-Signature"
DELIVERY_HEADER = "X-Detector-Delivery"


def sign(secret: bytes, timestamp: str, body: bytes) -> str:
    """The signature of a delivery: HMAC-SHA256 over the timestamp, a dot, and the body as it was sent.

    A receiver computes the same from the timestamp header and the bytes it read, compares the two in
    constant time, and turns away timestamps that are minutes old.

    >>> sign(b"secret", "1760000000", b"{}")
    'sha256=53dc054739ad94d3532227ba8d397f66ed2166a6b66940c2006692fa6db6829f'
    """
    return "sha256=" + hmac.new(secret, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


class WebhookSink(Sink):
    """Posts each version of each alert as one JSON object.

    `X-Detector-Delivery` is the alert's id and version: the same on every retry, so that a receiver can
    drop what it has seen. A 4xx answer (but 408, 425 and 429) refuses the alert for good; anything else that
    is not a success is tried again.

    Args:
        url: http(s) URL of the receiver.
        secret: the key of the signature, shared with the receiver.
        name: the sink's name, to tell several webhooks apart.
        http: headers, timeout in seconds and TLS context of the requests.
        clock: unix seconds, for the timestamp.
        encode: an alert's body; it is signed as it is sent.

    Raises:
        ValueError: the URL is not http(s) or holds credentials, or the secret is empty.
    """

    accepts: frozenset[Noun] = frozenset({"alerts"})

    def __init__(
        self,
        url: str,
        secret: bytes,
        *,
        name: str = "webhook",
        http: HttpOptions | None = None,
        clock: Callable[[], float] = time.time,
        encode: Callable[[Alert], bytes] = msgspec.json.encode,
    ) -> None:
        if not secret:
            raise ValueError("a webhook needs a secret to sign with")
        self.name = name
        self._secret = secret
        self._clock = clock
        self._encode = encode
        self._http = HttpClient(url, http, clock=clock)
        self._done: dict[str, Refused | None] = {}

    def write(self, batch: Batch) -> list[Refused]:
        """Post the alerts in order. See `Sink.write`.

        What got through before a failure in mid-batch is not posted again by the retry.
        """
        refused = []
        for alert in batch.alerts:
            key = f"{alert.id}:{alert.version}"
            if key not in self._done:
                self._done[key] = self._post(alert, key)
            verdict = self._done[key]
            if verdict is not None:
                refused.append(verdict)
        self._done.clear()
        return refused

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _post(self, alert: Alert, delivery: str) -> Refused | None:
        body = self._encode(alert)
        timestamp = str(int(self._clock()))
        answer = self._http.post(
            body,
            {
                TIMESTAMP_HEADER: timestamp,
                SIGNATURE_HEADER: sign(self._secret, timestamp, body),
                DELIVERY_HEADER: delivery,
            },
        )
        return None if answer.success else Refused(alert, answer.why)
