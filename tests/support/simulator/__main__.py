"""Regenerate the sample logs: `python -m tests.support.simulator --out sample_logs [--seed N]`."""

import argparse
import sys
from pathlib import Path

from tests.support.simulator.scenarios import SCENARIOS
from tests.support.simulator.write import write


def main() -> None:
    """Write every scenario into its folder under `--out`."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.simulator", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the folder that holds one folder a scenario")
    parser.add_argument("--seed", type=int, help="one seed for all scenarios instead of each one's own")
    options = parser.parse_args()
    for scenario in SCENARIOS:
        count = write(scenario, options.out / scenario.name, options.seed)
        sys.stdout.write(f"{scenario.name}: {count} events\n")


main()
