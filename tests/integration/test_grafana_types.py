"""The dashboards against Grafana's own types: a field that Grafana does not know, or would not take, is an error."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from deploy.grafana.pages import PAGES, text

TYPES: Final = Path(__file__).parents[2] / "deploy/grafana/types"
REMEDY: Final = "npm is not installed: apt-get install --no-install-recommends nodejs npm"
BROKEN: Final = (
    ('"type": "stat"', '"type": "stats"'),
    ('"colorMode": "value"', '"colorMode": "loud"'),
    ('"graphTooltip": 1', '"graphTooltip": 7'),
    ('"refresh": 2', '"refresh": "often"'),
)


@pytest.fixture(scope="module")
def compiler(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the types and a compiler."""
    npm = shutil.which("npm")
    if npm is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"the types must be checked in CI: {REMEDY}", pytrace=False)
        pytest.skip(REMEDY)
    folder = tmp_path_factory.mktemp("types")
    shutil.copytree(TYPES, folder, dirs_exist_ok=True)
    command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock", "--loglevel=error"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def errors(compiler: Path, boards: dict[str, str]) -> str:
    """What the compiler says of dashboards, by name."""
    for old in compiler.glob("board-*.ts"):
        old.unlink()
    for name, board in boards.items():
        module = f'import type {{ Board }} from "./wire";\nexport const board: Board = {board.rstrip()};\n'
        (compiler / f"board-{name}.ts").write_text(module, encoding="utf-8")
    command = ["node", "node_modules/typescript/bin/tsc", "--project", "."]
    return subprocess.run(command, cwd=compiler, capture_output=True, text=True, timeout=100, check=False).stdout


def test_grafana_knows_every_field(compiler: Path) -> None:
    assert errors(compiler, {page.uid: text(page) for page in PAGES}) == ""


def test_what_grafana_does_not_know_is_found(compiler: Path) -> None:
    (agent,) = (text(page) for page in PAGES if page.uid == "rogue-agents-agent")
    boards = {str(number): agent.replace(*change, 1) for number, change in enumerate(BROKEN)}
    assert all(board != agent for board in boards.values())
    said = errors(compiler, boards)
    assert [number for number in boards if f"board-{number}.ts" in said] == list(boards)
