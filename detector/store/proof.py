"""What verification tells: problems, each a breach that somebody made, and what is worth knowing besides."""

from typing import Final, Literal

import msgspec

What = Literal["altered", "missing", "inserted", "broken", "truncated", "anchor"]
MOST_TOLD: Final = 1000


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Something that does not fit.

    Attributes:
        what: altered, missing or inserted rows; a broken or truncated chain; an anchor that doesn't fit.
        detail: one sentence, which names the rows as nearly as can be told.
        chain: the chain it was found in, "" for none.
        sequence: the number of the link, 0 for none.
        table: the table of the rows, "" for none.
        written_at: microseconds since 1970, when the rows were written by the word of their link; 0 for none.
    """

    what: What
    detail: str
    chain: str = ""
    sequence: int = 0
    table: str = ""
    written_at: int = 0


class Tail(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a chain that no anchor vouches for: `links` of them over `rows`, the first written at `since`."""

    chain: str
    links: int
    rows: int
    since: int
    until: int


class Proof(msgspec.Struct, kw_only=True):
    """The result of a verification; times are microseconds since 1970.

    Attributes:
        problems: in the order in which they were found; the first of `problem_count`.
        rows: covered rows that are as they were written, by table.
        chains: how many.
        links: how many.
        anchors: anchors that fit.
        expired: links whose rows are past their retention, wholly or in part, and so can't be checked.
        held: links of which the rows under a legal hold are as they were sealed, the others having expired.
        alike: links of which rows were written again with the same content.
        unfinished: last links of chains whose writer ended before it wrote their rows.
        unlinked: rows from before there were chains, by table.
        tails: what no anchor vouches for.
        until: the last link that was looked at was written then; 0 for none.
    """

    problems: list[Problem] = []
    problem_count: int = 0
    rows: dict[str, int] = {}
    chains: int = 0
    links: int = 0
    anchors: int = 0
    expired: int = 0
    held: int = 0
    alike: int = 0
    unfinished: int = 0
    unlinked: dict[str, int] = {}
    tails: list[Tail] = []
    until: int = 0

    @property
    def sound(self) -> bool:
        """Whether nothing was found."""
        return not self.problem_count

    def tell(self, problem: Problem) -> None:
        """Add a problem."""
        self.problem_count += 1
        if len(self.problems) < MOST_TOLD:
            self.problems.append(problem)
