"""Like acts in a row: counted within a span of time, told at the first, the tenth, the hundredth."""

import msgspec


class Row(msgspec.Struct, array_like=True):
    """Like acts: when the first was (unix seconds), and how many there were."""

    since: float
    count: int


def current(row: Row | None, now: float, span: float) -> Row:
    """The row in progress, or a new one if there is none or it began more than `span` seconds ago."""
    return row if row is not None and now - row.since < span else Row(now, 0)


def count_on(rows: dict[str, Row], key: str, now: float, span: float, most: int) -> None:
    """Count one more act of the row; the row counted last stays longest when there are more than `most`."""
    row = current(rows.pop(key, None), now, span)
    row.count += 1
    rows[key] = row
    if len(rows) > most:
        del rows[next(iter(rows))]


def is_milestone(count: int) -> bool:
    """Whether a row is worth saying again: at 1, 10, 100 and so on.

    >>> [n for n in range(1, 1001) if is_milestone(n)]
    [1, 10, 100, 1000]
    """
    while count % 10 == 0 and count:
        count //= 10
    return count == 1
