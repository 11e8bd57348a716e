"""The engine as an account of `deploy/clickhouse/roles.sql` would meet it: `python -m tests.support.roles PATH ROLE`.

The embedded engine takes no CREATE ROLE, but it reads a file of users: its one user is given what the role is granted
there, and nothing else. Statements come as a JSON list on standard input; what became of each goes out: null, or the
engine's error code.
"""

import re
import sys
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

import clickhouse_connect
import msgspec
from clickhouse_connect.driver.exceptions import Error

ROLES: Final = Path(__file__).parents[2] / "deploy" / "clickhouse" / "roles.sql"

_USERS: Final = """<clickhouse><profiles><default/></profiles><quotas><default/></quotas><users><default>
<password></password><profile>default</profile><quota>default</quota><grants>{grants}</grants>
</default></users></clickhouse>"""
_CONFIG: Final = """<clickhouse><users_config>{users}</users_config></clickhouse>"""


def statements() -> list[str]:
    """The statements of the file, without comments."""
    text = re.sub(r"^\s*--.*\n", "", ROLES.read_text("utf-8"), flags=re.MULTILINE)
    return [statement.strip() for statement in text.split(";") if statement.strip()]


def grants(role: str) -> list[str]:
    """What the file grants to a role, as a file of users says it: without the role."""
    to = f" TO {role}"
    found = [s.removesuffix(to) for s in statements() if s.startswith("GRANT ") and s.endswith(to)]
    # One server: the engine knows no clusters.
    return [grant for grant in found if not grant.startswith("GRANT CLUSTER ")]


def main(store: Path, role: str) -> None:
    """Run the statements with the role's rights."""
    told = "".join(f"<query>{escape(grant)}</query>" for grant in grants(role))
    users, config = store.with_name(f"{role}-users.xml"), store.with_name(f"{role}-config.xml")
    users.write_text(_USERS.format(grants=told))
    config.write_text(_CONFIG.format(users=users))
    client = clickhouse_connect.get_client(interface="chdb", path=str(store), chdb_options={"config-file": str(config)})
    client.database = "detector"
    answers: list[int | None] = []
    for statement in msgspec.json.decode(sys.stdin.buffer.read(), type=list[str]):
        try:
            client.command(statement, use_database=not statement.startswith("CREATE DATABASE"))
            answers.append(None)
        except Error as error:
            answers.append(error.code)
    client.close()
    sys.stdout.write(msgspec.json.encode(answers).decode())


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
