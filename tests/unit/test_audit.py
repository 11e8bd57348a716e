"""The audit of dependencies: what fails it, and what it can't know and says so."""

import json
from typing import Any

import pytest

from deploy.audit import verdict


def report(*packages: dict[str, Any]) -> str:
    return json.dumps({"dependencies": packages, "fixes": []})


SOUND = {"name": "msgspec", "version": "0.22.0", "vulns": []}
UNKNOWN = {"name": "rich", "skip_reason": "not found on the index"}
BAD = {"name": "httpx", "version": "0.1", "vulns": [{"id": "PYSEC-2", "fix_versions": ["0.2"], "description": "…"}]}


def test_a_known_vulnerability_fails_it_and_names_the_version_to_take() -> None:
    status, words = verdict(1, report(SOUND, BAD, UNKNOWN), "Found 1 known vulnerability")
    assert status == 1
    assert "httpx 0.1: PYSEC-2, mended in 0.2" in words


def test_sound_packages_pass_and_those_not_asked_after_are_counted() -> None:
    assert verdict(0, report(SOUND, UNKNOWN), "") == (
        0,
        "no known vulnerabilities in 1 packages; 1 could not be asked after",
    )


@pytest.mark.parametrize(
    ("status", "out", "said", "why"),
    [
        (0, report(UNKNOWN), "", "none of 1 packages could be asked after (not found on the index)"),
        (1, "", "Traceback\nConnectionError: no route", "ConnectionError: no route"),
        (1, "", "", "it is silent"),
        (1, "[1]", "", "it is silent"),
    ],
)
def test_what_can_not_be_asked_is_skipped_with_the_reason(status: int, out: str, said: str, why: str) -> None:
    passed, words = verdict(status, out, said)
    assert passed == 0
    assert words.startswith("audit skipped: ")
    assert why in words
