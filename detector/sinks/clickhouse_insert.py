"""One insert into the event store, and what its failure says of the rows."""

import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from clickhouse_connect.datatypes.base import ClickHouseType
from clickhouse_connect.driver.exceptions import ClickHouseError, DataError, Error

from detector.sinks.base import SinkRefused, SinkUnavailable
from detector.sinks.clickhouse_columns import Columns

# The engine's codes for values that it will never take. Anything else (no such table, no memory, too many
# parts, not allowed …) can be mended on its side, and the rows must not be given up for it.
_BAD_DATA: Final = frozenset(
    {
        6,  # CANNOT_PARSE_TEXT
        27,  # CANNOT_PARSE_INPUT_ASSERTION_FAILED
        33,  # CANNOT_READ_ALL_DATA
        53,  # TYPE_MISMATCH
        69,  # ARGUMENT_OUT_OF_BOUND
        70,  # CANNOT_CONVERT_TYPE
        72,  # CANNOT_PARSE_NUMBER
        117,  # INCORRECT_DATA
        131,  # TOO_LARGE_STRING_SIZE
        349,  # CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN
        469,  # VIOLATED_CONSTRAINT
    }
)
BAD_VALUE: Final = (DataError, TypeError, ValueError, OverflowError, AttributeError, struct.error)
"""What Python raises for a value that its column can't take, while columns are built or serialised."""

# No such table, database or column.
_NOT_MIGRATED: Final = frozenset({16, 60, 81})

# Our batches are ready-made, and the engine honours tokens for inserts that are not asynchronous. Its defaults
# are not the same in every version. What sums up the rows as they come must not add up a repeated insert.
_SETTINGS: Final = {"async_insert": "0", "deduplicate_blocks_in_dependent_materialized_views": "1"}


class InsertContext(Protocol):
    """What the sink reads of the client's insert context."""

    column_types: Sequence[ClickHouseType]


class Client(Protocol):
    """What the sink uses of a clickhouse-connect client to write."""

    def create_insert_context(self, table: str, column_names: Sequence[str], database: str) -> InsertContext:
        """Look up the types of a table's columns."""

    def insert(
        self,
        table: str,
        data: Sequence[Sequence[Any]],
        column_names: Sequence[str],
        database: str,
        column_types: Sequence[ClickHouseType],
        *,
        column_oriented: bool,
        settings: dict[str, Any],
    ) -> object:
        """Insert rows, given as columns, in one statement."""


class Answer(Protocol):
    """What is read of the client's answer to a question."""

    @property
    def result_rows(self) -> Sequence[Sequence[Any]]:
        """The rows."""


class AskingClient(Client, Protocol):
    """What the sink uses of a client to write rows that links cover: it also asks."""

    def query(self, query: str, *, parameters: dict[str, Any]) -> Answer:
        """Rows that answer a question."""


class Inserter:
    """Inserts columns into tables of one database.

    Args:
        client: a clickhouse-connect client.
        database: where the tables are.
    """

    def __init__(self, client: Client, database: str) -> None:
        self._client = client
        self._database = database
        self._types: dict[str, Sequence[ClickHouseType]] = {}

    def insert(self, table: str, columns: Columns, token: str) -> None:
        """Insert rows in one statement; again with the same token it has no effect.

        Raises:
            SinkRefused: a value is one that the store will never take.
            SinkUnavailable: the store can't take it now, or was not heard of again: they may be there.
        """
        names = list(columns)
        types = self._column_types(table, names)
        try:
            self._client.insert(
                table,
                list(columns.values()),
                names,
                self._database,
                types,
                column_oriented=True,
                settings={**_SETTINGS, "insert_deduplication_token": token},
            )
        except BAD_VALUE as error:
            raise bad_value(error) from error
        except (ClickHouseError, OSError) as error:
            raise _verdict(error) from error

    def _column_types(self, table: str, names: Sequence[str]) -> Sequence[ClickHouseType]:
        """Asked for once: the client would ask again before every insert."""
        if table not in self._types:
            try:
                context = self._client.create_insert_context(table, names, self._database)
            except (ClickHouseError, OSError) as error:
                raise _unavailable(error) from error
            self._types[table] = context.column_types
        return self._types[table]


def ask(client: AskingClient, question: str, parameters: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
    """The rows that answer a question.

    Raises:
        SinkUnavailable: the store can't answer now.
    """
    try:
        return client.query(question, parameters=dict(parameters)).result_rows
    except (ClickHouseError, OSError) as error:
        raise _unavailable(error) from error


def bad_value(error: Exception) -> SinkRefused:
    """What is said of a value that no column can take."""
    return SinkRefused(f"the store can't hold it: {type(error).__name__}: {error}")


def _verdict(error: Exception) -> SinkRefused | SinkUnavailable:
    if isinstance(error, Error) and error.code in _BAD_DATA:
        return SinkRefused(f"the store refused it: {error}")
    return _unavailable(error)


def _unavailable(error: Exception) -> SinkUnavailable:
    if isinstance(error, Error) and error.code in _NOT_MIGRATED:
        return SinkUnavailable(f"the store has no such table: run `detector store migrate` ({error})")
    return SinkUnavailable(f"the store can't take it now: {error}")
