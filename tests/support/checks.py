"""Checks of checks."""

from collections.abc import Callable

import pytest


def must_fail(check: Callable[[], object]) -> None:
    """Run a contract's check on a fake that breaks the contract: it must not pass."""
    with pytest.raises(AssertionError):
        check()
