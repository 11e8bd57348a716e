"""The rules of deploy/prometheus for the Prometheus operator: `python -m deploy.kubernetes.rules` writes them."""

import sys
from pathlib import Path
from typing import Any, Final

import yaml

RULES: Final = Path(__file__).parents[1] / "prometheus" / "rules"
WRITTEN: Final = Path(__file__).parent / "components" / "monitoring" / "rules.yaml"
HEAD: Final = "# The rules of deploy/prometheus. Written by `python -m deploy.kubernetes.rules`: don't edit.\n"


def text() -> str:
    """The object, its groups in the order of the files."""
    groups: list[dict[str, Any]] = []
    for path in sorted(RULES.glob("*.yml")):
        groups += yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
    rule = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "detector", "labels": {"app.kubernetes.io/name": "detector"}},
        "spec": {"groups": groups},
    }
    return HEAD + yaml.safe_dump(rule, sort_keys=False, allow_unicode=True, width=110)


def main() -> None:
    """Write it."""
    WRITTEN.write_text(text(), encoding="utf-8")
    sys.stdout.write(f"{WRITTEN} written\n")


if __name__ == "__main__":
    main()
