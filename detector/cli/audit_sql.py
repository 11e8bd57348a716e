"""Any other question: `detector audit sql`."""

import logging
import sys
from typing import Annotated

import typer

from detector.audit import sql as questions
from detector.cli.audit_common import AnswerFormat, OutOption, StoreOption, asked, tell
from detector.cli.common import ConfigOption
from detector.logs import log_to_stderr


def sql(  # noqa: PLR0913, PLR0917 - one an option
    statement: Annotated[str, typer.Argument(help='One statement that reads, e.g. "SELECT …"; - for standard input.')],
    seconds: Annotated[float, typer.Option(min=0.1, help="How long it may take.")] = questions.LIMITS.seconds,
    memory: Annotated[int, typer.Option(min=2**20, help="Bytes of memory it may use.")] = questions.LIMITS.memory,
    rows: Annotated[int, typer.Option(min=1, help="Rows its answer may have.")] = questions.LIMITS.rows,
    store: StoreOption = None,
    config: ConfigOption = None,
    format_: AnswerFormat = None,
    out: OutOption = None,
) -> None:
    """Run a statement of your own, which only reads and reads only the store.

    `DESCRIBE TABLE events_data` tells the columns, with what they mean; deploy/clickhouse/QUERIES.sql has the
    statements behind the other commands.
    """
    log_to_stderr(logging.WARNING)
    if statement == "-":
        statement = sys.stdin.read()
    with asked(store, config) as opened:
        answer = questions.answer(opened, statement, questions.Limits(seconds, memory, rows))
    tell(answer, format_, out)
