"""What compose.yaml has the event store begin with: statements that the engine's own parser knows."""

from pathlib import Path

import pytest

from detector.store.client import Store
from tests.support.deployed import secrets

pytestmark = pytest.mark.chdb


def test_the_statements_that_make_the_users_can_be_parsed(embedded_store: Store, tmp_path: Path) -> None:
    """The embedded engine has no users: it reads the statements, and runs none of them."""
    text = (secrets(tmp_path) / "clickhouse-users.sql").read_text(encoding="utf-8")
    statements = [line.removesuffix(";") for line in text.splitlines() if not line.startswith("--")]
    assert len(statements) == 9
    ask = "SELECT formatQuerySingleLine({s:String})"
    for statement in statements:
        assert embedded_store.client.query(ask, parameters={"s": statement}).result_rows
    with pytest.raises(Exception, match="Syntax error"):
        embedded_store.client.query(ask, parameters={"s": statements[0].replace("USER", "USR")})
