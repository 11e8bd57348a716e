"""What scoring says of one event."""

from typing import Final, Literal, get_args

import msgspec

from detector.findings import Finding

Verdict = Literal["scored", "late", "future", "duplicate", "error"]
VERDICTS: Final[tuple[Verdict, ...]] = get_args(Verdict)


class Scored(msgspec.Struct, frozen=True):
    """What scoring says of one event; `error` is what went wrong with the verdict "error".

    `forgot` is why what was known of its principal had to be forgotten, if it had. `event_id` is the id that the event
    goes by where its own is another's: see `duplicates`.
    """

    verdict: Verdict
    findings: tuple[Finding, ...] = ()
    error: str = ""
    forgot: str = ""
    event_id: str = ""


UNREMARKABLE: Final = Scored("scored")
"""What is said of nearly all events."""
