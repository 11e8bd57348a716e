"""SQL holds no values: statements are fixed texts, and what varies is bound to their parameters."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]

# The client's methods whose first argument is SQL.
RUN: Final = re.compile(r"(raw_)?(query|command)(_\w+)?|raw_stream|execute")

# What is no fixed text, and why that is safe.
EXCEPTIONS: Final = {
    ("detector/history/stored.py", "_ROWS % where"): "offsets, which are numbers; names are bound",
    ("detector/explain/answer.py", "statement"): "one of three of the module",
    ("detector/store/migrate.py", "database"): "CREATE DATABASE, with a name that was checked",
    ("detector/store/migrate.py", "on_cluster(_RECORD, cluster)"): "a fixed text, and a name that was checked",
    ("detector/store/migrate.py", "on_cluster(_LOCK, cluster)"): "likewise",
    ("detector/store/migrate.py", "on_cluster('DROP TABLE schema_migrating', cluster)"): "likewise",
    ("detector/store/migrate.py", "on_cluster(statement, cluster)"): "out of a numbered file of this package",
    ("detector/audit/sql.py", "statement"): "an auditor's own, which the guard lets through",
    ("detector/audit/readonly.py", "f'EXPLAIN AST {sql}'"): "that guard: it is parsed, not run",
    ("detector/audit/door.py", "bare"): "behind that guard",
    ("detector/audit/door.py", "f'USE `{self.server.database}`'"): "a name that was checked",
    ("detector/audit/door.py", "_limits(given)"): "numbers only",
    ("detector/sinks/clickhouse_insert.py", "question"): "its callers': tables of the module; values are bound",
    ("detector/store/verify_rows.py", "question"): "tables and conditions of the module; values are bound",
    (
        "detector/store/verify_rows.py",
        "f'SELECT {told} FROM {table.shown} WHERE {where.text} ORDER BY {order}'",
    ): "likewise; columns as the links name them, identifiers only",
    ("detector/store/held_rows.py", "count"): "tables and conditions of the module; values are bound",
    ("detector/store/held_rows.py", "update"): "likewise",
    (
        "detector/store/retention.py",
        "on_cluster(_statement(TABLES[change.name], change.days), cluster)",
    ): "a table of the module, and a number of days",
}


def sources() -> Iterator[Path]:
    for path in sorted((ROOT / "detector").rglob("*.py")):
        if "clickhouse" in (text := path.read_text(encoding="utf-8")).lower() or ".client." in text:
            yield path


def loose(source: str) -> list[str]:
    """The first argument of each call that runs SQL which is neither a literal nor a constant that is one."""
    tree = ast.parse(source)
    constants = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    found = []
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and RUN.fullmatch(node.func.attr)):
            continue
        first = node.args[0] if node.args else next((k.value for k in node.keywords if k.arg in {"query", "cmd"}), None)
        if first is None:
            continue
        known = constants.get(first.id) if isinstance(first, ast.Name) else first
        if not (isinstance(known, ast.Constant) and isinstance(known.value, str)):
            found.append(ast.unparse(first))
    return found


def test_statements_are_fixed_texts() -> None:
    found = {(str(path.relative_to(ROOT)), sql) for path in sources() for sql in loose(path.read_text("utf-8"))}
    callbacks = {item for item in found if item[0].startswith("detector/cli/")}  # typer's app.command()
    assert found - callbacks == set(EXCEPTIONS)


def test_what_runs_sql_is_found_at_all() -> None:
    read = {str(path.relative_to(ROOT)) for path in sources()}
    assert {"detector/store/queries.py", "detector/store/migrate.py", "detector/train/history.py"} <= read


@pytest.mark.parametrize(
    "source",
    [
        "client.query(f'SELECT {name}')",
        "client.query('SELECT %s' % name)",
        "client.command('DROP TABLE ' + name)",
        "client.query_df('SELECT {}'.format(name))",
        "SQL = f'SELECT {name}'\nclient.query(SQL)",
        "sql = make()\nclient.query(sql)",
        "client.raw_query(query=name)",
    ],
)
def test_a_value_in_a_statement_is_found(source: str) -> None:
    assert loose(source)


def test_a_bound_value_is_fine() -> None:
    assert loose("SQL: Final = 'SELECT {id:String}'\nclient.query(SQL, parameters={'id': name})") == []
