"""How numbers and names are put into a sentence: the same everywhere, short, with units."""

import difflib
from collections.abc import Iterable, Sequence
from typing import Final

_UNPRINTABLE: Final = "\N{REPLACEMENT CHARACTER}"
# What chat, mail and tickets take for markup, and what looks like it and is none.
_MARKUP: Final = str.maketrans({"<": "\u2039", ">": "\u203a", "`": "\u2019", "[": "\uff3b", "]": "\uff3d"})

_BYTES = ("B", "kB", "MB", "GB", "TB", "PB", "EB")


def size(count: float) -> str:
    """Bytes in decimal units.

    >>> size(999), size(48_200_000), size(3_000_000_000)
    ('999 B', '48.2 MB', '3 GB')
    """
    value, unit = float(count), 0
    while value >= 999.5 and unit < len(_BYTES) - 1:
        value, unit = value / 1000.0, unit + 1
    return f"{value:.3g} {_BYTES[unit]}"


def number(count: float) -> str:
    """A count with thousands separated, whole from ten on.

    >>> number(4100.2), number(3.14159), number(7)
    ('4,100', '3.1', '7')
    """
    return f"{count:,.0f}" if count >= 10 or count == int(count) else f"{count:.1f}"


def duration(seconds: float) -> str:
    """A span of time in its largest two units.

    >>> duration(0.4), duration(61), duration(7200), duration(90_061)
    ('0.4 s', '1 min 1 s', '2 h', '1 d 1 h')
    """
    if seconds < 10 and seconds != int(seconds):
        return f"{seconds:.1f} s"
    left = round(seconds)
    units = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
    largest = next((i for i, (length, _) in enumerate(units) if left >= length), len(units) - 1)
    parts: list[str] = []
    for length, unit in units[largest : largest + 2]:
        if left // length or not parts:
            parts.append(f"{left // length} {unit}")
        left %= length
    return " ".join(parts)


def probability(p: float) -> str:
    """A tail probability as an analyst reads it.

    >>> probability(3.2e-9), probability(0.0), probability(0.04)
    ('p = 3e-09', 'p < 1e-300', 'p = 0.04')
    """
    return f"p = {p:.1g}" if p > 1e-300 else "p < 1e-300"


def listing(names: Sequence[str], most: int = 3) -> str:
    """Names with a comma between, the rest counted.

    >>> listing(["a", "b"]), listing(["a", "b", "c", "d", "e"])
    ('a and b', 'a, b, c and 2 more')
    """
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return " and ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)


def plural(count: float, one: str, many: str | None = None) -> str:
    """A counted noun.

    >>> plural(1, "person", "people"), plural(2100, "record")
    ('1 person', '2,100 records')
    """
    return f"{number(count)} {one if count == 1 else many or one + 's'}"


def nearest(name: str, known: Iterable[str], otherwise: str = "known are") -> str:
    """What to say of a name that is not known: the one that was probably meant, or all there are.

    >>> nearest("transfer_rates", ["transfer_rate", "behaviour"])
    'did you mean `transfer_rate`?'
    >>> nearest("colour", ["url", "every"])
    'known are url, every'
    """
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean `{near[0]}`?" if near else f"{otherwise} {', '.join(known)}"


def printable(text: str) -> str:
    r"""Text from outside for a terminal: no escape sequence, line break or change of direction is left in it.

    >>> ascii(printable("agent\x1b[2J\n\u202eexe.txt"))
    "'agent\\ufffd[2J\\ufffd\\ufffdexe.txt'"
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _UNPRINTABLE for char in text)


def inert(text: str) -> str:
    r"""Text from outside for readers that obey markup: chat, mail, tickets. It reads the same, and does nothing.

    >>> ascii(inert("<!channel> [log in](https://evil.example)"))
    "'\\u2039!channel\\u203a \\uff3blog in\\uff3d(https://evil.example)'"
    """
    return printable(text).translate(_MARKUP)
