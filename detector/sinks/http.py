"""What the sinks that speak HTTP share: one client, and answers turned into "try again, and why"."""

import ssl
import time
from collections.abc import Callable, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from types import MappingProxyType

import httpx
import msgspec

from detector.sinks.base import SinkUnavailable
from detector.wording import printable

_TRY_AGAIN = frozenset({408, 425, 429})
_MOST_READ = 65_536  # bytes of an answer
_LONGEST_WISH = 300.0  # seconds: no far side may silence us for longer by a header


class HttpOptions(msgspec.Struct, frozen=True):
    """How to speak to a host.

    Attributes:
        headers: sent with every request (an Authorization, say).
        timeout: seconds for each of connect, send, wait and read.
        tls: the context for https; None for the system's trust store.
    """

    headers: Mapping[str, str] = MappingProxyType({})
    timeout: float = 10.0
    tls: ssl.SSLContext | None = None


class Answer(msgspec.Struct, frozen=True):
    """What the far side answered: `why` is one line for a log, the status and the beginning of what it says."""

    status: int
    why: str

    @property
    def success(self) -> bool:
        """Was the request taken?"""
        return 200 <= self.status < 300


class HttpClient:
    """Posts to one host: no redirects, no proxy or credentials from the environment, bounded times.

    Args:
        url: http(s) URL. Credentials don't belong into it (they would show in logs): use a header.
        options: headers, timeout and TLS; the defaults of `HttpOptions` when None.
        clock: unix seconds, to read a `Retry-After` that names a date.

    Raises:
        ValueError: the URL is not an absolute http(s) URL without credentials.
    """

    def __init__(self, url: str, options: HttpOptions | None, *, clock: Callable[[], float]) -> None:
        options = options or HttpOptions()
        parsed = httpx.URL(url)
        if parsed.scheme not in {"http", "https"} or not parsed.host:
            raise ValueError(f"not an http(s) URL with a host: {url}")
        if parsed.userinfo:
            raise ValueError(f"credentials in the URL of {parsed.host}: put them into a header instead")
        self._url = parsed
        self._clock = clock
        self._secret = [word for value in options.headers.values() for word in value.split() if len(word) >= 8]
        self._timeout = options.timeout
        self._client = httpx.Client(
            headers=dict(options.headers),
            timeout=options.timeout,
            verify=options.tls or ssl.create_default_context(),
            follow_redirects=False,
            trust_env=False,
        )

    def post(self, body: bytes, headers: Mapping[str, str] = MappingProxyType({})) -> Answer:
        """Post JSON; returns an answer that is a success or a 4xx that speaks of this request.

        Raises:
            SinkUnavailable: no answer, or one that says to try again: 5xx, 408, 425, 429, a redirect.
            ValueError: the client is closed.
        """
        if self._client.is_closed:
            raise ValueError("write to a closed sink")
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity", **headers}
        try:
            with self._client.stream("POST", self._url, content=body, headers=headers) as response:
                answer = Answer(response.status_code, self._why(response, self._read(response)))
        except httpx.TransportError as error:
            raise SinkUnavailable(f"{self._url.host}: {type(error).__name__}: {error}") from error
        if answer.success:
            return answer
        if not 400 <= answer.status < 500 or answer.status in _TRY_AGAIN:
            raise SinkUnavailable(answer.why, retry_after=self._retry_after(response))
        return answer

    def _read(self, response: httpx.Response) -> str:
        """The beginning of the body: no far side can fill our memory, or hold us with a drip of bytes."""
        deadline = time.monotonic() + self._timeout
        said = b""
        for chunk in response.iter_raw():
            said += chunk
            if len(said) > _MOST_READ or time.monotonic() > deadline:
                break
        text = " ".join(said.decode(errors="replace").split())
        for word in self._secret:  # there are servers that repeat what they were sent
            text = text.replace(word, "***")
        return printable(text[:200])

    def _why(self, response: httpx.Response, said: str) -> str:
        if response.has_redirect_location:
            said = printable(f"a redirect to {response.headers['location'][:200]}, and redirects are not followed")
        return f"{self._url.host} answered {response.status_code}: {said}"

    def close(self) -> None:
        """Close the connections; may be called twice."""
        self._client.close()

    def _retry_after(self, response: httpx.Response) -> float | None:
        wish = response.headers.get("retry-after", "").strip()
        if wish.isdecimal():
            return min(float(wish), _LONGEST_WISH)
        try:
            date = parsedate_to_datetime(wish)
        except ValueError:
            return None
        seconds = date.replace(tzinfo=date.tzinfo or UTC).timestamp() - self._clock()
        return min(max(seconds, 0.0), _LONGEST_WISH)
