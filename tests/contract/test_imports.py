"""Who may import whom: the house rules of the layout, read from the source."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

CORE = {
    *("events", "findings", "alerts", "exposure_versions", "records", "severity", "wording", "approvals"),
    *("charter", "endpoints", "peers"),
    *("principals", "scored", "scoring", "correlation", "exposures", "incidents", "chains", "ticks", "signals"),
    *("pipeline", "formats", "detectors", "reach", "extraction", "activity", "destinations", "suppressions"),
    *("budget", "habits", "knowledge", "partitions", "renderings", "principal_rows", "labels", "duplicates"),
    *("feedback", "adjustments", "judgements", "rebaseline", "relearning", "correlated"),
    *("integrity", "overrides", "in_force", "hours", "counting", "statistical"),
    *("places", "ordering", "standing"),
    *("exchange", "crossing", "capture", "principal_store", "ready"),
}
EDGES = ("sources", "sinks", "store")
NOUNS = {
    *("events", "findings", "alerts", "exposure_versions", "records", "severity", "signals", "ticks", "wording"),
    "feedback",
    *("kafka_open", "integrity"),
}
CORE_LIBRARIES = {
    *("msgspec", "pydantic", "pydantic_core", "river", "scipy", "models", "detector", "google", "opentelemetry"),
    *("cryptography", "lz4"),
}
NO_CLOCK_OR_IO = {"time", "os", "socket", "subprocess", "threading", "random", "secrets", "asyncio", "pathlib", "io"}
PANDAS_ROOMS = {"backtest", "tune", "train", "audit"}


def modules(package: str) -> Iterator[tuple[str, Path]]:
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def imports(path: Path, module: str) -> set[str]:
    """Every module that the file imports, absolute, wherever in the file the import stands."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} uses a relative import"
            found |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def room(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[0] == "detector" else ""


def breaches(module: str, names: set[str]) -> list[str]:
    """Each import of `module` that the rules forbid, with the rule."""
    found = []
    here = room(module)
    for name in sorted(names):
        top, there = name.split(".", 1)[0], room(name)
        if module.split(".", 1)[0] == "models" and top in {"detector", *NO_CLOCK_OR_IO}:
            found.append(f"{module} imports {name}: models know no events and do no I/O")
        if here in CORE:
            if top in NO_CLOCK_OR_IO or (top not in CORE_LIBRARIES and top not in sys.stdlib_module_names):
                found.append(f"{module} imports {name}: the core has no clock, no I/O, no such library")
            if there and there not in CORE:
                found.append(f"{module} imports {name}: the core imports only the core and models")
        if here in EDGES and there and there != here and there not in NOUNS:
            found.append(f"{module} imports {name}: sources, sinks and store know the nouns, not each other")
        if there == "service" and here != "cli":
            found.append(f"{module} imports {name}: only cli imports service")
        if there == "cli" and here not in {"cli", "__main__"}:
            found.append(f"{module} imports {name}: nobody imports cli but __main__")
        if top == "pandas" and here not in PANDAS_ROOMS:
            found.append(f"{module} imports {name}: pandas belongs to backtest, tune, train and audit")
    return found


@pytest.mark.parametrize("package", ["detector", "models"])
def test_imports_keep_the_rules(package: str) -> None:
    found = [breach for module, path in modules(package) for breach in breaches(module, imports(path, module))]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("models.rate", "detector.events"),
        ("models.rate", "time"),
        ("detector.scoring", "time"),
        ("detector.detectors.new_endpoint", "httpx"),
        ("detector.correlation", "detector.sinks.base"),
        ("detector.sinks.kafka", "detector.store.client"),
        ("detector.replay", "detector.service"),
        ("detector.replay", "pandas"),
        ("detector.service", "detector.cli"),
    ],
)
def test_a_breach_is_seen(module: str, name: str) -> None:
    assert breaches(module, {name})
