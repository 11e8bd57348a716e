"""A real single-node Apache Kafka (KRaft) on loopback, without Docker: Maven fetches it, plain java runs it.

For development and tests: `python3 deploy/kafka/broker.py` runs one in the foreground until Ctrl-C. The
standard library alone is used, so no virtual environment is needed. No authentication, one copy of the data.
"""

import argparse
import base64
import contextlib
import logging
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from types import FrameType, TracebackType
from typing import Final, Self

HERE: Final = Path(__file__).resolve().parent
if not __package__:  # run as a script: the package is found from the root of the repository
    sys.path.insert(0, str(HERE.parents[1]))

from deploy.kafka.install import BrokerError, MissingTool, fetch, find_java  # noqa: E402
from deploy.kafka.probe import HOST, answers, free_port, is_taken  # noqa: E402

log = logging.getLogger(__name__)

START_SECONDS: Final = 90.0
STOP_SECONDS: Final = 20.0

PROPERTIES: Final = """\
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
controller.quorum.bootstrap.servers={host}:{controller_port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={log_dir}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
"""


class Broker:
    """One Kafka broker and controller in a process of its own.

    Start, stop and kill may follow each other; data and port stay the same. As a context manager it is
    started on entry, and on exit stopped and, when it had no directory of its own, removed.

    Args:
        data: Directory of the log, the configuration and `broker.log`; None for a temporary one.
        port: Port to listen on; None for the one that `data` was used with, or any free one.
        libs: Where the jars are, or are fetched to.
        heap: Java heap, in the words of `-Xmx`.
        settings: Further lines of `server.properties`, over those here; `{host}`, `{port}` and `{controller_port}`
            stand for this broker's.
        say: Told what is being done, one line at a time.
    """

    def __init__(
        self,
        data: Path | None = None,
        *,
        port: int | None = None,
        libs: Path = HERE / "libs",
        heap: str = "512M",
        settings: str = "",
        say: Callable[[str], None] = log.info,
    ) -> None:
        self._temporary = data is None
        self.data = (data or Path(tempfile.mkdtemp(prefix="kafka-"))).resolve()
        self._libs, self._heap, self._say = libs, heap, say
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        used = self._used_ports()
        self.port = port or (used[0] if used else free_port())
        self._controller_port = used[1] if used else free_port()

    @property
    def bootstrap(self) -> str:
        """The address that clients are given."""
        return f"{HOST}:{self.port}"

    @property
    def pid(self) -> int | None:
        """The java process's id, None when there is none."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self) -> Self:
        """Fetch and format if need be, start, and return when the broker answers.

        Raises:
            MissingTool: no Java 17, or no Maven to fetch the jars with.
            BrokerError: its port is taken, it ended, or it did not answer in time.
        """
        if self.pid is not None:
            return self
        java = find_java()
        if is_taken(self.port):
            raise BrokerError(f"port {self.port} is taken: choose another one (--port), or 0 for any")
        fetch(self._libs, self._say)
        self.data.mkdir(parents=True, exist_ok=True)
        self._properties.write_text(
            (PROPERTIES + self._settings).format(
                host=HOST, port=self.port, controller_port=self._controller_port, log_dir=self._log_dir
            )
        )
        self._format(java)
        self._say(f"starting Kafka on {self.bootstrap}, data and broker.log in {self.data}")
        with self._log.open("ab") as out:
            # A session of its own: Ctrl-C reaches only the launcher, which then stops the broker in order.
            self._process = subprocess.Popen(  # noqa: S603 - a found java
                self._java(java, "kafka.Kafka", str(self._properties)),
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._await_answer()
        return self

    def stop(self) -> None:
        """Ask the broker to end (SIGTERM), and end it (SIGKILL) when it has not after 20 seconds."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def kill(self) -> None:
        """End the broker at once, as a crash would (SIGKILL). The data stays as it is."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def wait(self) -> int:
        """Block until the broker ends by itself; its exit status."""
        return self._process.wait() if self._process is not None else 0

    def remove(self) -> None:
        """Delete the data, if the directory is a temporary one of this broker."""
        if self._temporary:
            shutil.rmtree(self.data, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.stop()
            self.remove()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self.remove()

    @property
    def _properties(self) -> Path:
        return self.data / "server.properties"

    @property
    def _log(self) -> Path:
        return self.data / "broker.log"

    @property
    def _log_dir(self) -> Path:
        return self.data / "log"

    def _used_ports(self) -> tuple[int, int] | None:
        """The ports (clients', controller's) that this directory was used with before."""
        if not self._properties.exists():
            return None
        match = re.search(r"^listeners=\S+?:(\d+),\S+?:(\d+)$", self._properties.read_text(), re.MULTILINE)
        return (int(match[1]), int(match[2])) if match else None

    def _java(self, java: str, main: str, *args: str) -> list[str]:
        logging = f"-Dlog4j2.configurationFile={HERE / 'log4j2.properties'}"
        # It lives for minutes: the second compiler would take more of the processor than it saves in that time.
        jvm = [f"-Xms{self._heap}", f"-Xmx{self._heap}", "-XX:TieredStopAtLevel=1"]
        return [java, *jvm, "-Djava.awt.headless=true", logging, "-cp", f"{self._libs}/*", main, *args]

    def _format(self, java: str) -> None:
        if (self._log_dir / "meta.properties").exists():
            return
        cluster = "-"
        while cluster.startswith("-"):  # StorageTool would take it for an option
            cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        self._say(f"formatting {self._log_dir} for cluster {cluster}")
        args = ("format", "--standalone", "-t", cluster, "-c", str(self._properties))
        command = self._java(java, "kafka.tools.StorageTool", *args)
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=START_SECONDS)  # noqa: S603 - a found java
        if done.returncode != 0:
            raise BrokerError(f"the broker's storage could not be formatted: {done.stdout}{done.stderr}".strip())

    def _await_answer(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not answers(self.port):
            if self.pid is None:
                self._process = None
                raise BrokerError(f"the broker ended while starting: {self.log_tail()}")
            if time.monotonic() > deadline:
                self.kill()
                raise BrokerError(f"the broker did not answer within {START_SECONDS:.0f} s: {self.log_tail()}")
            time.sleep(0.05)

    def log_tail(self, lines: int = 5) -> str:
        """The last lines of broker.log, and where it is."""
        text = self._log.read_text(errors="replace") if self._log.exists() else ""
        return "\n".join([f"see {self._log}", *text.splitlines()[-lines:]])


def _say(line: str) -> None:
    with contextlib.suppress(BrokenPipeError):  # nobody reads any more; the broker is still to be stopped
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def _interrupt(_signum: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _foreground(broker: Broker) -> int:
    """Run the broker until it ends or the launcher is told to end; the exit status for the shell."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        broker.start()
        _say(f"ready: bootstrap servers {broker.bootstrap} (Ctrl-C to stop)")
        status = broker.wait()
    except KeyboardInterrupt:
        _say("stopping")
        return 0
    except (MissingTool, BrokerError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not leave the broker behind
        broker.stop()
    sys.stderr.write(f"the broker ended by itself (exit status {status}): {broker.log_tail()}\n")
    return 1


def main() -> int:
    """Command line: run a broker in the foreground until Ctrl-C or SIGTERM."""
    parser = argparse.ArgumentParser(description="Run a single-node Apache Kafka on loopback, without Docker.")
    parser.add_argument("--data", type=Path, help="directory of its data, kept (default: a temporary one, removed)")
    parser.add_argument("--port", type=int, default=9092, help="port to listen on, 0 for any (default: 9092)")
    parser.add_argument("--keep", action="store_true", help="keep the temporary directory at the end")
    args = parser.parse_args()
    broker = Broker(args.data, port=args.port or None, say=_say)
    try:
        return _foreground(broker)
    finally:
        if not args.keep:
            broker.remove()


if __name__ == "__main__":
    raise SystemExit(main())
