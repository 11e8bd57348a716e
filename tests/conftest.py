"""Fixtures that every test may use; each comes from a module of tests/support."""

import warnings
from collections.abc import Iterator

import pytest
import structlog

with warnings.catch_warnings():
    # kafka-python reads its protocol schemas at import, in a way that Python 3.11 and 3.12 call deprecated.
    warnings.filterwarnings("ignore", "(read|open)_text is deprecated", DeprecationWarning)
    import kafka  # noqa: F401

pytest_plugins = ["tests.support.kafka", "tests.support.kafka_source", "tests.support.store"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """kafka-python, closed while it connects, leaves that socket to the garbage collector, in whatever test it runs."""
    for item in items:
        if item.get_closest_marker("kafka") is not None:
            item.add_marker(pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"))


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    """What a test's command does to the logging ends with the test: its streams do."""
    yield
    structlog.reset_defaults()
