"""What a broker is run with: java, Maven to fetch the jars once, and the jars. Standard library alone."""

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

POM: Final = Path(__file__).resolve().parent / "pom.xml"


class MissingTool(RuntimeError):  # noqa: N818 - it names what is missing, not what failed
    """Java or Maven is not on this machine; the message says how to get it."""


class BrokerError(RuntimeError):
    """The broker could not be fetched, formatted or started; the message says why and where to look."""


def find_java() -> str:
    """Path of a java of version 17 or newer: `$JAVA_HOME`'s, else the first on the path.

    Raises:
        MissingTool: there is none, or it is too old.
    """
    remedy = "install one (Debian, Ubuntu: `sudo apt-get install openjdk-17-jre-headless`) or set JAVA_HOME"
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=str(Path(home, "bin")) if home else None)
    if java is None:
        raise MissingTool(f"Kafka needs Java 17 or newer, and no java was found: {remedy}")
    told = subprocess.run([java, "-version"], capture_output=True, text=True, check=False, timeout=60).stderr  # noqa: S603 - a found java
    match = re.search(r'version "(?:1\.)?(\d+)', told)
    if match is None or int(match[1]) < 17:
        found = match[1] if match else "of unknown version"
        raise MissingTool(f"Kafka needs Java 17 or newer, and the java found is {found}: {remedy}")
    return java


def find_maven() -> str:
    """Path of `mvn`.

    Raises:
        MissingTool: it is not on the path.
    """
    maven = shutil.which("mvn")
    if maven is None:
        raise MissingTool(
            "Maven fetches the Kafka broker, and no mvn was found: "
            "install it (Debian, Ubuntu: `sudo apt-get install maven`)"
        )
    return maven


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Hold the directory for this process, so that two test runs don't fetch into it at once."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / ".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def fetch(libs: Path, say: Callable[[str], None]) -> None:
    """Copy the broker's jars to `libs` unless those of this very pom.xml are there already.

    Raises:
        MissingTool: no Maven.
        BrokerError: Maven failed; its own words are in `maven.log` beside the jars.
    """
    want = hashlib.sha256(POM.read_bytes()).hexdigest()
    with _locked(libs):
        stamp = libs / ".pom.sha256"
        if stamp.exists() and stamp.read_text() == want:
            return
        maven = find_maven()
        stamp.unlink(missing_ok=True)
        for jar in libs.glob("*.jar"):
            jar.unlink()
        say(f"fetching the Kafka broker's jars with Maven to {libs} (once, about 45 MB)")
        command = [maven, "-q", "-B", "-f", str(POM), "dependency:copy-dependencies"]
        command += ["-DincludeScope=runtime", f"-DoutputDirectory={libs}"]
        log = libs / "maven.log"
        with log.open("wb") as out:
            code = subprocess.call(command, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)  # noqa: S603 - a found mvn
        if code != 0:
            raise BrokerError(
                f"Maven could not fetch the Kafka broker (exit status {code}): see {log}; "
                "check the network and the mirror in ~/.m2/settings.xml"
            )
        stamp.write_text(want)
