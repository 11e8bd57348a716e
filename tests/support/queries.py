"""The statements behind `detector audit`, as a file for auditors: `python -m tests.support.queries` writes it."""

import ast
import re
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
QUERIES: Final = ROOT / "deploy" / "clickhouse" / "QUERIES.sql"
MODULES: Final = (
    *(
        "timeline",
        "incident",
        "report",
        "pictures",
        "proof",
        "exposure",
        "access",
        "why",
        "why_not",
        "played",
        "egress",
        "coverage",
    ),
)
HEAD: Final = """\
-- The statements behind `detector audit`: the same texts that the program runs (a test compares them), for clickhouse
-- client, a notebook or another tool. Written by `python -m tests.support.queries`: don't edit.
--
-- A value in braces is a parameter with its type. clickhouse client takes them on its command line:
--
--     clickhouse client --database detector --param_principal=content-moderation-agent-02 \\
--         --param_since='2026-03-06 00:00:00' --param_until='2026-03-07 00:00:00' --param_most=1000 --query="..."
--
-- Times are UTC. Without an end, take since = 1900-01-01 and until = 2299-12-31. Read the views, not the tables *_data:
-- these may hold a repeated write twice. Some statements read *_data where that makes no difference, and say so. Where
-- {source:Identifier} stands, give the view events; the program tries the faster events_data, and looks if that does.
"""


def statements(module: str) -> tuple[str, list[tuple[str, list[str], str]]]:
    """The first line of a module's docstring, and its statements: name, comment above, text."""
    source = (ROOT / "detector" / "audit" / f"{module}.py").read_text(encoding="utf-8")
    lines = source.splitlines()
    tree = ast.parse(source)
    found = []
    for node in tree.body:
        if not (isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)):
            continue
        if not (isinstance(node.value, ast.Constant) and re.search(r"\bSELECT\b", str(node.value.value))):
            continue
        comment: list[str] = []
        above = node.lineno - 2
        while above >= 0 and lines[above].startswith("#"):
            comment.insert(0, lines[above].removeprefix("#").strip())
            above -= 1
        found.append((node.target.id.strip("_").lower(), comment, str(node.value.value).strip()))
    told = ast.get_docstring(tree) or ""
    return told.splitlines()[0], found


def text() -> str:
    """The whole file."""
    parts = [HEAD]
    for module in MODULES:
        about, found = statements(module)
        parts.append(f"\n-- ===== {module.replace('_', '-')}: {about}\n")
        for name, comment, statement in found:
            parts.append(
                "\n".join([f"\n-- {module}.{name}", *(f"-- {line}".rstrip() for line in comment), f"{statement};\n"])
            )
    return "".join(parts)


if __name__ == "__main__":
    QUERIES.parent.mkdir(parents=True, exist_ok=True)
    QUERIES.write_text(text(), encoding="utf-8")
    sys.stdout.write(f"{QUERIES} written\n")
