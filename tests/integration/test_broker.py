"""The broker's launcher: its command line, its errors with their remedies, and its data directory."""

import itertools
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.kafka.broker import HERE, Broker
from deploy.kafka.install import BrokerError, MissingTool, fetch, find_java
from deploy.kafka.probe import answers, free_port
from tests.support.kafka import drain, new_topic, publish


@pytest.mark.kafka
@pytest.mark.usefixtures("kafka_broker")  # skips, or fails in CI, where a broker can't be had
def test_the_command_line_runs_a_broker_until_sigterm_and_keeps_its_data(tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, str(HERE / "broker.py"), "--data", "data", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as launcher:
        try:
            assert launcher.stdout is not None
            (ready,) = itertools.islice((line for line in launcher.stdout if line.startswith("ready")), 1)
            topic = new_topic(f"127.0.0.1:{port}")
            publish(f"127.0.0.1:{port}", topic, [(b"key", b"kept")])
        finally:
            launcher.send_signal(signal.SIGTERM)
    assert f"127.0.0.1:{port}" in ready
    assert launcher.returncode == 0
    assert not answers(port)

    again = Broker(tmp_path / "data")
    try:
        (record,) = drain(again.start().bootstrap, topic, 1)
    finally:
        again.kill()
    assert again.bootstrap == f"127.0.0.1:{port}", "the port goes with the directory"
    assert record.value == b"kept"
    again.remove()
    assert again.data.exists(), "a directory that was given is not removed"


def test_java_that_is_missing_or_too_old_is_told_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingTool, match=r"Java 17 or newer.*apt-get install"):
        find_java()

    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    for version, found in (("1.8.0_392", "8"), ("11.0.2", "11")):
        java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2019-01-15' >&2\n")
        java.chmod(0o755)
        with pytest.raises(MissingTool, match=rf"the java found is {found}: install"):
            find_java()

    java.write_text("#!/bin/sh\necho 'openjdk version \"17\" 2021-09-14' >&2\n")
    assert find_java() == str(java)


def test_without_maven_the_remedy_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    said: list[str] = []
    with pytest.raises(MissingTool, match=r"no mvn was found.*apt-get install maven"):
        fetch(tmp_path / "libs", said.append)
    assert said == []


def test_maven_runs_once_for_one_pom_and_again_after_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    libs, maven = tmp_path / "libs", tmp_path / "mvn"
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    said: list[str] = []

    def maven_does(script: str) -> None:
        maven.write_text(f"#!/bin/sh\n{script}\n")
        maven.chmod(0o755)

    maven_does("echo 'could not transfer from https://example.invalid/' >&2; exit 1")
    with pytest.raises(BrokerError, match=r"could not fetch the Kafka broker \(exit status 1\)") as failed:
        fetch(libs, said.append)
    assert "example.invalid" not in str(failed.value), "addresses stay in the log file"
    assert "example.invalid" in (libs / "maven.log").read_text()

    maven_does(f'touch "{libs}/kafka.jar"')
    fetch(libs, said.append)
    fetch(libs, said.append)
    assert len(said) == 2
    assert [path.name for path in libs.glob("*.jar")] == ["kafka.jar"]

    (libs / ".pom.sha256").write_text("of another pom")
    (libs / "old.jar").touch()
    fetch(libs, said.append)
    assert [path.name for path in libs.glob("*.jar")] == ["kafka.jar"], "jars of the other pom are gone"


@pytest.mark.kafka
def test_a_port_that_is_taken_is_told(kafka_broker: Broker) -> None:
    other = Broker(port=kafka_broker.port)
    with pytest.raises(BrokerError, match=rf"port {kafka_broker.port} is taken"), other:
        pass
    assert not other.data.exists(), "its temporary directory is removed"


@pytest.mark.kafka
def test_a_broker_that_can_not_start_tells_its_last_words(kafka_broker: Broker, tmp_path: Path) -> None:
    assert kafka_broker.pid
    with (
        pytest.raises(BrokerError, match=r"(?s)could not be formatted|ended while starting.*broker\.log"),
        Broker(tmp_path, heap="1k"),
    ):
        pass


def test_nobody_answers_on_a_free_port() -> None:
    assert not answers(free_port())
