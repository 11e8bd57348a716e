"""What keeps a question from changing anything, or from reaching anything but the store.

`readonly` alone does not: on the embedded engine it lets a statement write a file (`INTO OUTFILE`), read any file of
the machine (`file('/etc/passwd')`, as a function by name or in `APPLY`) and read the tables of other databases, one of
which is the file system. So the engine's own parser is asked first what the statement is, and what it names.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from typing import Any, Final

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from detector.audit.answer import AuditError

# Statements by the root of their syntax tree. Whatever is not named here is refused.
_STATEMENTS: Final = frozenset(
    {"SelectWithUnionQuery", "SelectIntersectExceptQuery", "DescribeQuery", "ShowTables", "ShowColumns"}
)
_EXPLAIN: Final = "Explain"
# Table functions that read nothing from anywhere.
_TABLE_FUNCTIONS: Final = frozenset(
    {"numbers", "numbers_mt", "zeros", "zeros_mt", "generateseries", "generate_series", "values", "format", "null"}
)
# Functions that read files, settings or other tables, or call out; all names in lower case.
_FUNCTIONS: Final = frozenset(
    {
        *("file", "joinget", "joingetornull", "hascolumnintable", "catboostevaluate", "evalmlmethod"),
        *("getserversetting", "getmacro", "getclienthttpheader", "currentrequesturl", "getosenvironment"),
        *("aigenerate", "aiclassify", "aiextract", "aitranslate", "aifilter", "airedact", "aisimilarity", "aiembed"),
        *("sleep", "sleepeachrow", "throwif", "trap", "fuzzquery", "executable", "showcertificate"),
        *("addresstoline", "addresstosymbol", "demangle", "tid", "logtrace", "initialquerystarttime"),
        *("icebergmetadata", "generatesql", "reinterpretexecutable", "currentprofiles", "enabledprofiles"),
    }
)
_DICTIONARIES: Final = re.compile(r"dict(get|has|isin)", re.IGNORECASE)
_SYSTEM: Final = frozenset(
    {
        *("columns", "tables", "databases", "parts", "parts_columns", "data_skipping_indices", "mutations", "one"),
        *(
            "numbers",
            "functions",
            "table_functions",
            "settings",
            "time_zones",
            "data_type_families",
            "projections",
            "merges",
        ),
    }
)
_NODE: Final = re.compile(r"^( *)([A-Za-z:_]+)(?: (.*?))?(?: \(alias .*\))?(?: \(children \d+\))?$")

Parse = Callable[[str], Iterable[str]]
"""The syntax tree of one statement, as the lines of EXPLAIN AST."""


class Forbidden(AuditError):  # noqa: N818 - what it is
    """The statement is not one that only reads the store."""


def check(sql: str, parse: Parse, database: str, databases: Iterable[str], table_functions: Iterable[str]) -> bool:
    """Refuse a statement unless it reads the store, and nothing but the store.

    Args:
        sql: One statement; on the embedded engine `classify` must have found it to be one that reads.
        parse: The engine's parser.
        database: That of the store, the only one that may be read besides some tables of `system`.
        databases: All there are.
        table_functions: All there are.

    Returns:
        Whether it is a SELECT, and not the explanation of one.

    Raises:
        Forbidden: It is another, or names what it may not.
        ClickHouseError: It can't be parsed.
    """
    nodes = [found.groups() for line in parse(sql) if (found := _NODE.match(line))]
    kinds = [kind for _, kind, _ in nodes]
    if not kinds:
        raise Forbidden("the engine does not tell what this statement is")
    root = kinds[1] if kinds[0] == _EXPLAIN and len(kinds) > 1 else kinds[0] if kinds else ""
    if root not in _STATEMENTS:
        raise Forbidden("only SELECT, EXPLAIN SELECT, DESCRIBE TABLE, SHOW TABLES and SHOW COLUMNS are taken")
    calls = {name.lower() for name in table_functions} - _TABLE_FUNCTIONS | _FUNCTIONS
    others = {name.lower() for name in databases} - {database.lower(), "system"}
    depth = 1 if kinds[0] == _EXPLAIN else 0
    for indent, kind, name in nodes:
        _check_node(len(indent) - depth, kind, name or "", root)
        if kind in {"Function", "Identifier"} and name and (name.lower() in calls or _DICTIONARIES.match(name)):
            raise Forbidden(f"{name} is not for questions: it reads something other than the store")
        if kind in {"Identifier", "TableIdentifier"}:
            _check_name(name or "", others)
    return kinds[0] in {"SelectWithUnionQuery", "SelectIntersectExceptQuery"}


def _check_node(depth: int, kind: str, name: str, root: str) -> None:
    if kind == "Set":
        raise Forbidden("settings are not taken from a statement: limits are options of the command")
    if kind == "ColumnsApplyTransformer":
        raise Forbidden("APPLY is not taken: it hides which function is called; write the function out")
    if depth <= 1 and root == "SelectWithUnionQuery" and kind in {"Identifier", "Literal"}:
        word = "FORMAT" if kind == "Identifier" else "INTO OUTFILE"
        raise Forbidden(f"{word} is not taken ({name}): --format and --out are options of the command")


def _check_name(name: str, others: set[str]) -> None:
    first, _, rest = name.partition(".")
    if first.lower() in others:
        raise Forbidden(f"{name} lies in another database than the store's")
    if first.lower() == "system" and rest.partition(".")[0].lower() not in _SYSTEM:
        raise Forbidden(f"{name} is not one of the tables of system that may be read: {', '.join(sorted(_SYSTEM))}")


def classify(handle: Any, sql: str) -> None:
    """Refuse what the embedded engine does not take for one statement that only reads.

    Args:
        handle: A connection of chdb.
        sql: What is to be run.

    Raises:
        Forbidden: It is no statement, several, or one that writes or controls.
    """
    found = handle._conn.classify_query(sql)  # the engine tells it nowhere else
    if found["statement_count"] != 1:
        what = "one statement is taken at a time" if found["statement_count"] else "this is no statement of SQL"
        raise Forbidden(what)
    if found["query_class"].name != "READ_ONLY":
        raise Forbidden("the engine takes this for a statement that does more than read")


_DATABASES: Final = "SELECT name FROM system.databases"
_TABLE_FUNCTIONS_KNOWN: Final = "SELECT name FROM system.table_functions"


def guard(client: Client, database: str, sql: str, bound: Mapping[str, str] | None = None) -> bool:
    """Check a statement against the engine that is to run it.

    Args:
        client: Of the store.
        database: That of the store.
        sql: What is to be run.
        bound: Values of its parameters, as the engine writes them; an identifier among them is checked as well.

    Returns:
        Whether it is a SELECT, whose answer can be streamed.

    Raises:
        Forbidden: As of `check` and `classify`.
        AuditError: The engine can't parse it.
    """
    path = getattr(client, "path", None)
    try:
        with ExitStack() as stack:
            parse = _parser(client) if path is None else _embedded_parser(path, bound or {}, stack)
            databases = [str(row[0]) for row in client.query(_DATABASES).result_rows]
            functions = [str(row[0]) for row in client.query(_TABLE_FUNCTIONS_KNOWN).result_rows]
            return check(sql, parse, database, databases, functions)
    except (ClickHouseError, RuntimeError) as error:
        raise AuditError(f"the engine can't read the statement: {engine_words(error)}") from error


def _parser(client: Client) -> Parse:
    """A server's parser, over HTTP: that takes one statement at a time and writes no file."""

    def parse(sql: str) -> list[str]:
        # Not a query: the client would add a FORMAT to that, which the parser would take for the statement's own.
        tree = client.command(f"EXPLAIN AST {sql}")
        return (tree if isinstance(tree, str) else str(tree)).splitlines()

    return parse


def _embedded_parser(path: str, bound: Mapping[str, str], stack: ExitStack) -> Parse:
    import chdb  # noqa: PLC0415 - there is an embedded engine

    handle = chdb.connect(path)  # type: ignore[no-untyped-call]
    stack.callback(handle.close)

    def parse(sql: str) -> list[str]:
        classify(handle, sql)
        tree = handle.query(f"EXPLAIN AST {sql}", "TabSeparatedRaw", params=dict(bound))
        return (tree.bytes() or b"").decode("utf-8", "replace").splitlines()

    return parse


def engine_words(error: Exception) -> str:
    """What the engine says of an error, without what its client puts around it."""
    found = _EXCEPTION.search(str(error))
    return _SCOPE.sub("", found[1]).strip() if found else str(error)


_EXCEPTION: Final = re.compile(
    r"DB::Exception: (?!.*DB::Exception: )(.*?)(?: \(version [^)]*\).*)?(?: \(for url .*\))?$", re.DOTALL
)
# The whole statement again, with every setting that it ran under.
_SCOPE: Final = re.compile(r"[.:] In scope .*(?=\. \([A-Z_]+\)$)", re.DOTALL)
