"""Log-based detection of rogue AI agents: events in, explained alerts out."""

from typing import Final

VERSION: Final = "0.1.0"
