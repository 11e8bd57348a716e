"""A report of an incident that a person can file: `detector audit incident`."""

import logging
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from detector import screens
from detector.audit.answer import AuditError
from detector.audit.proof import Trusted
from detector.cli.audit_common import OutOption, StoreOption, asked
from detector.cli.audit_trust import AnchorsOption, PublicKeyOption, anchors_at_hand, kept_days
from detector.cli.common import ConfigOption
from detector.config import Config
from detector.config_base import ConfigError
from detector.config_file import load
from detector.logs import log_to_stderr
from detector.store.anchors import Anchors

if TYPE_CHECKING:
    from detector.audit.report import Report

ReportFormat = Literal["md", "html"]


def incident(
    identity: Annotated[str, typer.Argument(metavar="INCIDENT", help="The id of its alert (a-…).")],
    format_: Annotated[
        ReportFormat | None,
        typer.Option("--format", "-f", help="html is one page with its charts in it; into a file, its ending tells."),
    ] = None,
    out: OutOption = None,
    store: StoreOption = None,
    config: ConfigOption = None,
    anchor_files: AnchorsOption = None,
    public_key: PublicKeyOption = None,
) -> None:
    """Write a report of an incident: what, who, how it was found, the data, the windows, the proof.

    Its rows are verified against the anchors that are given, or those that `audit.anchor_file` names; without a key
    for these, against the store alone. As Markdown into a file, its charts are written beside it, as SVG.
    """
    # matplotlib takes a second to load; only this command needs it.
    from detector.audit import report as reports  # noqa: PLC0415

    log_to_stderr(logging.WARNING)
    form = format_ or _of_ending(out)
    settings = load(config)
    trusted = Trusted(_anchors(settings, anchor_files, public_key), kept_days(settings))
    with asked(store, config) as opened:
        found = reports.report(opened, identity, trusted)
    now = datetime.now(UTC)
    if form == "html":
        body = reports.to_html(found, now=now)
    else:
        body = reports.to_markdown(found, now=now, images=_images(found, out) if out is not None else {})
    if out is None:
        sys.stdout.buffer.write(body)
        sys.stdout.flush()
        return
    out.write_bytes(body)
    screens.stderr().print(f"written to {out}", markup=False, highlight=False)


def _anchors(settings: Config, files: list[Path] | None, public_key: Path | None) -> Anchors | None:
    """Those at hand; what nobody asked for by an option may be missing its key, and the report says so."""
    try:
        return anchors_at_hand(settings, files, public_key)
    except (ConfigError, OSError) as error:
        if files or public_key is not None:
            raise
        screens.stderr().print(f"not verified against anchors: {error}", markup=False)
        return None


def _of_ending(out: Path | None) -> ReportFormat:
    if out is None or out.suffix.lower() == ".md":
        return "md"
    if out.suffix.lower() in {".html", ".htm"}:
        return "html"
    raise AuditError(f"{out.name} does not tell the format: end it in .md or .html, or give --format")


def _images(found: "Report", out: Path) -> dict[str, str]:
    """Write the charts beside the report; their names by the charts'."""
    names = {}
    for chart in found.charts:
        path = out.with_name(f"{out.stem}-{chart.name}.svg")
        path.write_bytes(b'<?xml version="1.0" encoding="utf-8"?>\n' + chart.svg)
        names[chart.name] = path.name
    return names
