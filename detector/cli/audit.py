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
from detector.cli.audit_trust import AnchorsOption, PublicKeyOption, anchors_at_hand, kept_days
from detector.cli.common import ConfigOption
from detector.config import Config
from detector.config_base import ConfigError
from detector.config_file import load
from detector.integrity import anchor as anchors
from detector.logs import log_to_stderr
from detector.store.anchors import Anchors
from detector.store.client import Store
from detector.store.errors import StoreError
from detector.store.proof import Proof
from detector.store.verify import Verification

BREACH: Final = 1
NOT_VERIFIED: Final = 2

_STRICT_SECONDS: Final = 600.0

app = typer.Typer(help="Questions of auditors: what happened, and is the store what was written?", no_args_is_help=True)


@app.command()
def verify(
    config: ConfigOption = None,
    store: StoreOption = None,
    anchor_files: AnchorsOption = None,
    public_key: PublicKeyOption = None,
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
        told = anchors_at_hand(settings, anchor_files, public_key)
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
    return Verification(
        store,
        int(time.time() * 1e6),
        anchors=told,
        retention=kept_days(settings),
        since=0 if since is None else int(moment(since).timestamp() * 1e6),
        progress=_counter(stack),
    ).run()


def _counter(stack: ExitStack) -> Callable[[int], None]:
    console = screens.stderr()
    bar = stack.enter_context(
        Progress(TextColumn("{task.completed:,.0f} rows read"), console=console, disable=not console.is_terminal)
    )
    task = bar.add_task("", total=None)
    return lambda rows: bar.update(task, advance=rows)
