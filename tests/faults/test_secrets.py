"""Secrets in every place that takes one, every connection failing: none of them is in anything that comes out."""

import base64
import json
import re
import subprocess
import time
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import yaml

from deploy.kafka.probe import free_port
from tests.support.certificates import Authority
from tests.support.receiver import Answer, Receiver, running_receiver
from tests.support.service import DETECTOR, Deployment, Running, until
from tests.support.tls import tls_front

SAMPLE: Final = Path(__file__).parents[2] / "sample_logs" / "inbox_deletion" / "events.ndjson.gz"
NAMES: Final = ("kafka", "key", "store", "alertmanager", "webhook", "metrics")

# Each with what shells, URLs, JSON and formats trip over.
SECRETS: Final = {name: f"s3cret-{name}-p@ss%40 'w\"rd\\n{{x}}-ünï" for name in NAMES} | {
    "alertmanager": "s3cret-alertmanager-b3arer",  # what goes into a header is ASCII without spaces
    "metrics": "s3cret-metrics-b3arer",
}


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, Mapping[str, str]]:
    """Where each secret is: every other one in the environment, the rest in files."""
    places: dict[str, Mapping[str, str]] = {}
    for i, (name, secret) in enumerate(SECRETS.items()):
        if i % 2:
            monkeypatch.setenv(f"PLANTED_{name.upper()}", secret)
            places[name] = {"env": f"PLANTED_{name.upper()}"}
        else:
            (tmp_path / f"{name}.secret").write_text(secret)
            places[name] = {"file": str(tmp_path / f"{name}.secret")}
    return places


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with running_receiver() as receiver:
        yield receiver


def leaks(*outputs: str) -> list[str]:
    """The secrets that stand in what came out, as they are or as something would write them."""
    text = "\n".join(outputs)
    return [
        name
        for name, secret in SECRETS.items()
        for form in (
            secret,
            json.dumps(secret)[1:-1],
            repr(secret)[1:-1],
            urllib.parse.quote(secret),
            urllib.parse.quote_plus(secret),
            base64.b64encode(secret.encode()).decode(),
            f"s3cret-{name}",
        )
        if form in text
    ]


@pytest.mark.parametrize("form", [str, repr, json.dumps, urllib.parse.quote])
def test_the_search_finds_what_is_there(form: Any) -> None:
    assert set(leaks(f"error: {form(SECRETS['store'])}")) == {"store"}


def everything(folder: Path, planted: Mapping[str, Any], **over: Any) -> Path:
    """A configuration in which all that takes a secret has one, and nobody answers."""
    pair = Authority(folder).issue("client", password=SECRETS["key"].encode())
    nobody = free_port()
    config: dict[str, Any] = {
        "kafka": {
            "bootstrap_servers": [f"127.0.0.1:{nobody}"],
            "security": {
                "protocol": "SASL_SSL",
                "mechanism": "SCRAM-SHA-512",
                "username": "detector",
                "password": planted["kafka"],
                "cert_file": str(pair.cert),
                "key_file": str(pair.key),
                "key_password": planted["key"],
            },
        },
        "store": {"url": f"https://detector@127.0.0.1:{nobody}/detector", "password": planted["store"]},
        "state": {"url": f"file://{folder}/state"},
        "alertmanager": {"url": f"http://127.0.0.1:{nobody}", "token": planted["alertmanager"]},
        "webhook": {"url": f"http://127.0.0.1:{nobody}/hook", "secret": planted["webhook"]},
        "metrics": {"port": 0, "token": planted["metrics"]},
    }
    path = folder / "detector.yaml"
    path.write_text(yaml.safe_dump({**config, **over}))
    return path


def run(*commands: Sequence[str], seconds: float) -> list[str]:
    """All that each command says, all of them at once; those that have not ended after so many seconds are ended."""
    processes = [
        subprocess.Popen([*DETECTOR, *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for command in commands
    ]
    deadline = time.monotonic() + seconds
    said = []
    for process in processes:
        try:
            output, _ = process.communicate(timeout=max(1.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
        said.append(output.decode())
    return said


def test_no_command_says_a_secret_when_nobody_answers(tmp_path: Path, planted: Mapping[str, Any]) -> None:
    for folder in ("with", "without"):
        (tmp_path / folder).mkdir()
    config = ("--config", str(everything(tmp_path / "with", planted)))
    storeless = ("--config", str(everything(tmp_path / "without", planted, store={})))
    check, *rest = run(
        ("check", *config),
        ("run", *config),
        ("store", "migrate", *config),
        ("topics", *config),
        ("produce", str(SAMPLE), *config),
        ("run", "--stage", "score", *storeless),
        ("run", "--stage", "correlate", *storeless),
        seconds=90,
    )
    assert "PLANTED_KEY" in check, "a secret is shown by its place"
    assert all("127.0.0.1" in said for said in rest), "each says who does not answer"
    assert leaks(check, *rest) == []


def test_a_store_of_another_authority_is_not_told_the_password(
    tmp_path: Path, planted: Mapping[str, Any], receiver: Receiver
) -> None:
    with tls_front(receiver.port, Authority(tmp_path, "other-ca").issue("store")) as port:
        store = {"url": f"https://detector@127.0.0.1:{port}/detector", "password": planted["store"]}
        config = everything(tmp_path, planted, store=store)
        (said,) = run(("store", "migrate", "--config", str(config)), seconds=40)
    assert "can't be verified" in said
    assert leaks(said) == []
    assert receiver.requests == []


@pytest.mark.kafka
@pytest.mark.chdb
def test_a_far_side_that_repeats_a_token_brings_it_into_no_log_probe_or_metric(
    kafka_bootstrap: str, tmp_path: Path, planted: Mapping[str, Any], receiver: Receiver
) -> None:
    """The service at work, Alertmanager answered by somebody who quotes its token back."""
    receiver.answers = [Answer(500, body=f"what is Bearer {SECRETS['alertmanager']}?".encode())] * 500
    deployment = Deployment(
        kafka_bootstrap,
        tmp_path,
        alertmanager={"url": receiver.url, "token": planted["alertmanager"]},
        webhook={"url": f"http://127.0.0.1:{free_port()}/hook", "secret": planted["webhook"]},
        metrics={"port": 0, "token": planted["metrics"]},
    )
    deployment.command("topics")
    with Running(deployment) as service:
        deployment.command("produce", str(SAMPLE))
        until(lambda: receiver.requests, service)
        until(lambda: "what is" in service.log, service)
        (where,) = until(lambda: re.findall(r'"metrics": "([^"]+)"', service.log), service)
        pages = [_page(f"http://{where}{path}") for path in ("/metrics", "/healthz", "/readyz")]
        assert "detector_alerts_total" in pages[0]
        assert "what is Bearer ***" in pages[2]
        assert leaks(service.log, *pages) == []
    assert leaks(service.log) == []
    assert any("authorization" in request.headers for request in receiver.requests)
    kept = [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".secret"]
    assert leaks(*(path.read_bytes().decode(errors="replace") for path in kept)) == []


def _page(url: str) -> str:
    return httpx.get(url, headers={"Authorization": f"Bearer {SECRETS['metrics']}"}, trust_env=False).text
