"""Any other question: one statement of the auditor's own, which only reads, within limits."""

from typing import Any, Final

import msgspec
from clickhouse_connect.driver.exceptions import ClickHouseError, Error

from detector.audit.answer import Answer, AuditError, Table
from detector.audit.readonly import engine_words, guard
from detector.store.client import Store


class Limits(msgspec.Struct, frozen=True):
    """What a statement may use: seconds, bytes of memory, rows of its answer."""

    seconds: float = 30.0
    memory: int = 2**30
    rows: int = 10_000


LIMITS: Final = Limits()

_READONLY: Final = "SELECT value FROM system.settings WHERE name = 'readonly'"
# What the views say for themselves is passed over under `readonly`, so it is said again. They change no answer.
_AS_VIEWS: Final = {
    "do_not_merge_across_partitions_select_final": 1,
    "optimize_move_to_prewhere_if_final": 1,
    "use_skip_indexes_if_final": 1,
    "use_skip_indexes_if_final_exact_mode": 0,
}
_WORDS: Final = {
    158: "it reads more rows than it may: narrow it by time or by principal",
    159: "it took longer than --seconds allows: narrow it by time or by principal, or allow more",
    160: "it would take longer than --seconds allows: narrow it by time or by principal, or allow more",
    241: "it needs more memory than --memory allows: narrow it, or allow more",
    396: "its answer has more rows than --rows allows: add a LIMIT, or allow more",
    47: "there is no such column: DESCRIBE TABLE tells what there is",
    60: "there is no such table: SHOW TABLES tells what there is",
}


def settings(store: Store, limits: Limits = LIMITS) -> dict[str, Any]:
    """Settings that hold a statement to its limits and to reading, as far as any may be set.

    A server's user whose profile says `readonly = 1` can set none: its profile has limits of its own. Who is asked
    for the embedded store that it has open holds everything to reading, and takes the limits.
    """
    limited: dict[str, Any] = {
        "max_execution_time": limits.seconds,
        "max_memory_usage": limits.memory,
        "max_result_rows": limits.rows,
    }
    if store.url.startswith("chdb:") and not hasattr(store.client, "path"):
        return limited
    mode = int(store.client.query(_READONLY).result_rows[0][0])
    if mode == 1:
        return {}
    limited |= {**_AS_VIEWS, "timeout_before_checking_execution_speed": 0, "result_overflow_mode": "throw"}
    return limited if mode == 2 else {**limited, "readonly": 1}  # 2 can't be made 1


def answer(store: Store, statement: str, limits: Limits = LIMITS) -> Answer:
    """Run one statement that only reads.

    Args:
        store: The event store; nothing else can be read.
        statement: SELECT, EXPLAIN SELECT, DESCRIBE TABLE, SHOW TABLES or SHOW COLUMNS.
        limits: What it may use.

    Raises:
        AuditError: It is another statement, reads something else, is wrong, or is beyond its limits.
    """
    guard(store.client, store.database, statement)
    try:
        found = store.client.query(statement, settings=settings(store, limits))
    except ClickHouseError as error:
        raise AuditError(explained(error)) from error
    rows = [tuple(row) for row in found.result_rows]
    told = Table("result", "Result", _distinct(found.column_names), rows)
    return Answer([told], advice="The statement found no row.")


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    """Column names, each once: a name that comes again gets a number."""
    seen: dict[str, int] = {}
    told = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        told.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return tuple(told)


def explained(error: ClickHouseError) -> str:
    """What went wrong with a statement, in words of ours where the engine's would not help."""
    code = error.code if isinstance(error, Error) else None
    known = _WORDS.get(code) if code is not None else None
    said = engine_words(error)
    return f"the statement can't be answered: {f'{known} ({said})' if known else said}"
