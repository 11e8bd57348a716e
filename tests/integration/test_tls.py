"""The store, Alertmanager and the webhook over TLS: only certificates that are vouched for are spoken to."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from detector.config import Alertmanager, Config, Store, Webhook
from detector.config_base import ConfigError, Secret
from detector.event_store import open_store
from detector.http_settings import http_options
from detector.sinks.alertmanager import AlertmanagerSink
from detector.sinks.base import Batch, Sink, SinkUnavailable
from detector.sinks.clickhouse import ClickHouseSink
from detector.sinks.webhook import WebhookSink
from detector.store.client import connect
from detector.store.errors import StoreError
from tests.support.certificates import Authority
from tests.support.clickhouse_front import ClickHouseFront
from tests.support.nouns import an_alert
from tests.support.receiver import Answer, Receiver, running_receiver
from tests.support.store import unique_database
from tests.support.tls import tls_front

TOKEN = "bearer-of-good-news"  # noqa: S105 - of a server that lives for this test


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def stranger(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "other-ca")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with running_receiver() as receiver:
        yield receiver


@pytest.mark.chdb
def test_a_store_over_tls_is_migrated_written_and_read(clickhouse_front: ClickHouseFront, authority: Authority) -> None:
    clickhouse_front.faults.clear()
    with tls_front(clickhouse_front.port, authority.issue("store")) as port:
        url = f"https://default@127.0.0.1:{port}/{unique_database()}"
        store = open_store(Config(store=Store(url=url, ca_file=authority.ca)))
        assert store is not None
        with store:
            sink = ClickHouseSink(store.client, database=store.database)
            assert sink.write(Batch(alerts=[an_alert()])) == []
            rows = store.client.query(f"SELECT id FROM {store.database}.alerts_current").result_rows  # noqa: S608
            assert list(rows) == [(an_alert().id,)]
            store.client.command(f"DROP DATABASE {store.database}", use_database=False)


@pytest.mark.chdb
def test_a_store_that_nobody_vouches_for_is_refused_by_default(
    clickhouse_front: ClickHouseFront, authority: Authority, stranger: Authority
) -> None:
    with tls_front(clickhouse_front.port, authority.issue("store")) as port:
        for ca in (None, stranger.ca):
            with pytest.raises(StoreError, match=r"certificate of https://.* can't be verified") as refused:
                connect(f"https://default@127.0.0.1:{port}/any", password=TOKEN, ca_cert=ca)
            assert TOKEN not in str(refused.value)
    with (
        tls_front(clickhouse_front.port, authority.issue("elsewhere", addresses=("127.0.0.2",))) as port,
        pytest.raises(StoreError, match="can't be verified"),
    ):
        connect(f"https://default@127.0.0.1:{port}/any", ca_cert=authority.ca)


def alertmanager(port: int, ca: Path | None) -> Sink:
    settings = Alertmanager(url=f"https://127.0.0.1:{port}", ca_file=ca, token=Secret(env="TEST_TOKEN"))
    return AlertmanagerSink(settings.url, http=http_options(settings.ca_file, settings.token))


def webhook(port: int, ca: Path | None) -> Sink:
    settings = Webhook(url=f"https://127.0.0.1:{port}/hook", ca_file=ca, secret=Secret(env="TEST_TOKEN"))
    return WebhookSink(settings.url, settings.secret.reveal().encode(), http=http_options(settings.ca_file))


@pytest.mark.parametrize("make", [alertmanager, webhook])
def test_alerts_go_only_to_whom_somebody_vouches_for(
    make: Callable[[int, Path | None], Sink],
    receiver: Receiver,
    authority: Authority,
    stranger: Authority,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TEST_TOKEN", TOKEN)
    with tls_front(receiver.port, authority.issue("receiver")) as port:
        for ca in (None, stranger.ca):
            sink = make(port, ca)
            with pytest.raises(SinkUnavailable, match="certificate verify failed"):
                sink.write(Batch(alerts=[an_alert()]))
            sink.close()
        assert receiver.requests == []
        sink = make(port, authority.ca)
        assert sink.write(Batch(alerts=[an_alert()])) == []
        sink.close()
    assert len(receiver.requests) == 1


def test_a_token_goes_to_alertmanager_and_not_into_what_it_says_of_it(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_TOKEN", TOKEN)
    sink = AlertmanagerSink(receiver.url, http=http_options(None, Secret(env="TEST_TOKEN")))
    receiver.answers = [Answer(403, body=f"no such token: Bearer {TOKEN}\x1b[2J".encode())]
    with pytest.raises(SinkUnavailable) as refused:
        sink.write(Batch(alerts=[an_alert()]))
    sink.close()
    assert receiver.requests[0].headers["authorization"] == f"Bearer {TOKEN}"
    assert "no such token" in str(refused.value)
    assert TOKEN not in str(refused.value)
    assert "\x1b" not in str(refused.value)


def test_authorities_that_can_not_be_read_are_told(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("no certificate")
    for name in ("missing.pem", "empty.pem"):
        with pytest.raises(ConfigError, match=f"{name} holds no CA certificates"):
            http_options(tmp_path / name)
