"""The auditor's commands: `detector audit …`. Here: verify, and key."""

import logging
import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
import typer
from clickhouse_connect.driver.exceptions import ClickHouseError
from rich.progress import Progress, TextColumn

from detector import proof_screen, screens
from detector.audit.answer import AuditError, moment
from detector.cli.audit_common import SinceOption, StoreOption, asked
from detector.cli.common import ConfigOption
from detector.config import Config
from detector.config_base import ConfigError
from detector.config_file import load
from detector.integrity import anchor as anchors
from detector.logs import log_to_stderr
from detector.store.anchors import Anchors, read_anchors
from detector.store.client import Store
from detector.store.errors import StoreError
from detector.store.proof import Proof
from detector.store.retention import TABLES
from detector.store.verify import Verification

BREACH: Final = 1
NOT_VERIFIED: Final = 2

_STRICT_SECONDS: Final = 600.0

app = typer.Typer(help="Questions of auditors: what happened, and is the store what was written?", no_args_is_help=True)


@app.command()
def verify(
    config: ConfigOption = None,
    store: StoreOption = None,
    anchor_files: Annotated[
        list[Path] | None,
        typer.Option("--anchors", help="File of anchors, kept outside of the store; may be given several times."),
    ] = None,
    public_key: Annotated[
        Path | None, typer.Option(help="Public key of the anchors (PEM, or 64 hexadecimal digits).")
    ] = None,
    since: SinceOption = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail too when rows older than 10 minutes are vouched for by no anchor.")
    ] = False,
    format_: Annotated[Literal["table", "json"], typer.Option("--format", help="How the result is told.")] = "table",
) -> None:
    """Recompute every digest and link from the store, and say what was altered, removed or added.

    Give the configuration that the service runs with: what is past its retention is expected to be gone, and
    nothing else is. Without --anchors the chain is only compared with itself: who can write to the store can write
    all of it anew. The file that `audit.anchor_file` names is used if none is given.

    Exit status: 0 nothing was found, 1 something was, 2 it could not be verified.
    """
    log_to_stderr(logging.WARNING)
    try:
        settings = load(config)
        told = _anchors(settings, anchor_files, public_key)
        with ExitStack() as stack:
            opened = stack.enter_context(asked(store, config))
            proof = _verify(opened, settings, told, since, stack)
    except (AuditError, ConfigError, OSError, StoreError, ClickHouseError) as error:
        screens.stderr().print(screens.failure(error))
        raise typer.Exit(NOT_VERIFIED) from None
    late = any(tail.since < (time.time() - _STRICT_SECONDS) * 1e6 for tail in proof.tails)
    if format_ == "json":
        typer.echo(msgspec.json.format(msgspec.json.encode(proof)).decode())
    else:
        screens.stdout().print(proof_screen.report(proof, anchored=told is not None))
    if not proof.sound or (strict and late):
        raise typer.Exit(BREACH)


@app.command()
def key(
    out: Annotated[Path, typer.Argument(help="File of the private key; the public one is written beside it, as .pub.")],
) -> None:
    """Make a key pair (Ed25519) to sign anchors with.

    The service needs the private key (`audit.key`); auditors need the public one, from you and not from the store.
    """
    beside = out.with_name(out.name + ".pub")
    for path in (out, beside):
        if path.exists():
            raise ConfigError(f"{path} exists: a key is never written over; name another file")
    private, public = anchors.new_key()
    for path, content, mode in ((out, private, 0o600), (beside, public, 0o644)):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
    console = screens.stderr()
    console.print(f"private key: {out}    for the service, as `audit.key: {{file: {out}}}`", markup=False)
    console.print(f"public key:  {beside}    for those who verify, as `--public-key`", markup=False)


def _verify(store: Store, settings: Config, told: Anchors | None, since: str | None, stack: ExitStack) -> Proof:
    kept = settings.store.retention.model_dump()
    return Verification(
        store,
        int(time.time() * 1e6),
        anchors=told,
        retention={table.table: kept.get(name) for name, table in TABLES.items()},
        since=0 if since is None else int(moment(since).timestamp() * 1e6),
        progress=_counter(stack),
    ).run()


def _anchors(settings: Config, files: list[Path] | None, public_key: Path | None) -> Anchors | None:
    """Anchors and the key to verify them with; None when there are none at hand.

    Raises:
        ConfigError: There are anchors, and no key; or the key is none.
    """
    at_hand = settings.audit.anchor_file
    paths = files or ([at_hand] if at_hand is not None and at_hand.exists() else [])
    if not paths:
        return None
    try:
        if public_key is not None:
            trusted = anchors.public_key(public_key.read_bytes())
        elif settings.audit.key is not None:
            trusted = anchors.private_key(settings.audit.key.reveal().encode()).public_key()
        else:
            raise ConfigError("the anchors can't be verified without a key: give --public-key")
    except ValueError as error:
        raise ConfigError(str(error)) from error
    return read_anchors(paths, trusted)


def _counter(stack: ExitStack) -> Callable[[int], None]:
    console = screens.stderr()
    bar = stack.enter_context(
        Progress(TextColumn("{task.completed:,.0f} rows read"), console=console, disable=not console.is_terminal)
    )
    task = bar.add_task("", total=None)
    return lambda rows: bar.update(task, advance=rows)
