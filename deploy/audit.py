"""Asks the public advisories after the pinned dependencies: `make audit`.

Known vulnerabilities fail it. Where the advisories can't be reached, or the index at hand knows none, it says so and
passes: that nothing was found is then not known, and nobody who is offline is held up by it.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

PINNED: Final = Path(__file__).parent / "constraints.txt"
SECONDS: Final = 300.0


def verdict(status: int, report: str, said: str) -> tuple[int, str]:
    """The exit status and the words for a run of pip-audit.

    Args:
        status: Its exit status.
        report: Its standard output, JSON.
        said: Its standard error.
    """
    try:
        packages: list[dict[str, Any]] = json.loads(report)["dependencies"]
    except (ValueError, KeyError, TypeError):
        lines = said.strip().splitlines()
        return 0, f"audit skipped: pip-audit could not ask (status {status}): {lines[-1] if lines else 'it is silent'}"
    asked = [package for package in packages if "vulns" in package]
    found = [(package, known) for package in asked for known in package["vulns"]]
    if found:
        lines = [
            f"{package['name']} {package['version']}: {known['id']}, mended in "
            f"{', '.join(known['fix_versions']) or 'no version yet'}"
            for package, known in found
        ]
        return 1, "\n".join([f"{len(found)} known vulnerabilities:", *lines])
    if not asked:
        why = packages[0].get("skip_reason", "no reason given") if packages else "nothing is pinned"
        return 0, f"audit skipped: none of {len(packages)} packages could be asked after ({why})"
    unknown = len(packages) - len(asked)
    left = f"; {unknown} could not be asked after" if unknown else ""
    return 0, f"no known vulnerabilities in {len(asked)} packages{left}"


def main() -> int:
    """Run pip-audit over the pinned versions; the exit status."""
    command = [sys.executable, "-m", "pip_audit", "--progress-spinner", "off", "--format", "json"]
    try:
        done = subprocess.run(  # noqa: S603 - nothing in it comes from outside
            [*command, "--disable-pip", "--no-deps", "--requirement", str(PINNED)],
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired:
        sys.stdout.write(f"audit skipped: no answer within {SECONDS:.0f} s\n")
        return 0
    status, words = verdict(done.returncode, done.stdout, done.stderr)
    sys.stdout.write(f"{words}\n")
    return status


if __name__ == "__main__":
    raise SystemExit(main())
