"""Which tables links cover, and in which order the rows of a link are digested.

No migration may change a value of these tables that was written before it: its link would not fit any more. Columns
may be added, and the order of a table here never changes.
"""

from typing import Final

import msgspec


class Covered(msgspec.Struct, frozen=True):
    """A table whose rows are covered.

    Attributes:
        name: The table.
        shown: Where people read it, a row at a time: a view, or the table with FINAL.
        time: The column that its retention goes by.
        key: The columns that tell rows apart, which is the order of the rows in a digest, ascending: numbers by
            their value, text by its bytes.
        monthly: Whether it is cut into months of `time`, and rows of one key share one.
        every: Of how many rows a digest is made at once; where rows were altered can be told as nearly as that.
    """

    name: str
    shown: str
    time: str
    key: tuple[str, ...]
    monthly: bool = False
    every: int = 1


EVENTS: Final = "events_data"

COVERED: Final = {
    table.name: table
    for table in (
        # By place of reading first: that is how they come, so that the writer need not sort them.
        Covered(
            EVENTS,
            "events",
            "time",
            ("topic", "partition", "offset", "index", "principal", "time"),
            monthly=True,
            every=32,
        ),
        Covered("findings_data", "findings", "time", ("time", "id"), monthly=True),
        Covered("alerts_data", "alerts", "opened_at", ("id", "version")),
        Covered("exposures_data", "exposure_versions", "opened_at", ("id", "version")),
        Covered("operator_actions_data", "operator_actions", "time", ("time", "id")),
        Covered("config_versions_data", "config_versions_data FINAL", "first_seen", ("hash", "first_seen")),
    )
}
