"""What one piece of text names: addresses, accounts, links, hosts, channels, files, people.

Patterns are matched on whole words, each cut to a fixed length first, and quantifiers are possessive where a
word could be long: time grows with the text and with nothing else. Tables of keys, endings and domains are
general English and registries' own lists, so an unlisted one is missed rather than guessed.
"""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final
from unicodedata import normalize

from detector.events import Named, NamedKind
from detector.extraction.lexicon import FILE_ENDINGS, KEY_KINDS, PROSE_KEYS, TOP_LEVEL

MOST_VALUE: Final = 512

EDGE: Final = "'\".,:;!?*_~=&-<>()[]{}|`\u2026\u2018\u2019\u201c\u201d"
# A pattern that begins with a set is searched several times as fast as one that begins with a choice, and a set of
# ASCII alone faster still.
_IF_DIGIT: Final = r"(?:(?<=\D)|(?=\d{5})|(?=\d [A-Z0-9]{4})|(?<=[A-Z][A-Z]\d)(?=\d))"
_MAY: Final = re.compile(r"[@\uff20\ufe6b/#\\.+\d]" + _IF_DIGIT)
_MAY_ASCII: Final = re.compile(r"[@/#\\.+0-9]" + _IF_DIGIT)
_EMAIL: Final = re.compile(r"[\w.+%'-]{1,64}@(?:[\w-]{1,63}\.){1,8}[\w-]{2,63}")
# Of a value as a whole: the rest of RFC 5322's atext, but for the = of `to=ann@x.com`; and a quoted local part.
_ATEXT_EMAIL: Final = re.compile(r"[\w.+%'!#$&*/?^`{|}~-]{1,64}@(?:[\w-]{1,63}\.){1,8}[\w-]{2,63}")
_QUOTED_EMAIL: Final = re.compile(r"\"(?:[^\"\\\n]|\\.){1,64}\"@(?:[\w-]{1,63}\.){0,8}[\w-]{2,63}")
_AT: Final = re.compile(r"[^\s,;<>]*[^\s,;<>@]@[^\s,;<>@]+")
_QUOTED: Final = re.compile(r"\"([\w.+%'!#$&*/=?^`{|}~-]+)\"(@.*)")
_HOST: Final = re.compile(r"(?:[\w-]{1,63}\.){1,10}[a-z][a-z0-9-]{1,62}\.?|(?:\d{1,3}\.){3}\d{1,3}|localhost")
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]{1,20}://")
_ACCOUNT: Final = re.compile(r"[A-Z]{2}\d{2}[A-Z0-9]{8,30}|[a-z]{2}\d{2}[a-z]{0,4}\d{8,26}")
_SPACED: Final = re.compile(r"(?<!\w)[A-Z]{2}\d{2}(?: [A-Z0-9]{4}){2,7}(?: [A-Z0-9]{1,3})?(?!\w)")
_SPACED_START: Final = re.compile(r" [A-Z0-9]{4} (?<=\d\d.{6})")  # begins with what is quick to find
_WALLET: Final = re.compile(r"0x[0-9a-fA-F]{40}|bc1[a-z0-9]{25,59}")
_ANY_AT: Final = re.compile("[@\uff20\ufe6b]")
_PHONE: Final = re.compile(r"(?<![\w+])\+\d(?:[ ().-]{0,2}\d){6,14}(?!\w)")
_CHANNEL: Final = re.compile(r"#[a-zA-Z][\w-]{0,79}")
_COLOUR: Final = re.compile(r"#(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6}|[0-9a-fA-F]{8})")
_PATH: Final = re.compile(r"(?:~|\.{1,2})?(?:/[\w.@%+=-]{1,255}){2,}/?|~/[\w.-]{1,255}|[A-Za-z]:\\[^\s]{1,255}")
_NOBODY: Final = frozenset({"null", "none", "nil", "undefined", "true", "false", "n/a", "[]", "{}", "~", "-"})
_DATE: Final = re.compile(
    r"\d{4}-\d\d-\d\d(?:[T ][\d:.,]{1,20}(?:Z|[+-][\d:]{2,5})?)?|\d{1,2}:\d\d(?::\d\d)?|-?\d{1,12}(?:[.,]\d{1,6})?"
)
_WORDS: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_DISPLAYED: Final = re.compile(r"[^<>@\n]{0,128}<([^<>\s]{3,320})>")


@lru_cache(maxsize=4096)
def kind_of_key(key: str) -> NamedKind | None:
    """What a value under this key names, by the last of the key's words that tells: "user_email" a name."""
    parts = [word.lower() for word in _WORDS.findall(key[:80])]
    kinds = [KEY_KINDS.get(part) or KEY_KINDS.get(part.removesuffix("s")) for part in parts]
    found = next((kind for kind in reversed(kinds) if kind), None)
    if found is None and parts[-1:] in (["name"], ["names"]):
        return "name"
    return None if found == "path" and parts[-1:] in (["id"], ["ids"]) else found


@lru_cache(maxsize=4096)
def is_prose_key(key: str) -> bool:
    """Whether a value under this key is somebody's text: a body, a description, a comment."""
    return any(word.lower() in PROSE_KEYS for word in _WORDS.findall(key[:80]))


@lru_cache(maxsize=4096)
def is_addressing(key: str) -> bool:
    """Whether a value under this key says whom: there, whatever has an @ is an address."""
    return kind_of_key(key) in {"name", "account", "phone", "channel"}


def may_mention(text: str) -> bool:
    """Whether it is worth looking for mentions: quick, and never wrong when it says no."""
    return (_MAY_ASCII if text.isascii() else _MAY).search(text) is not None


def is_nothing(value: str, key: str, *, mentions: bool) -> bool:
    """Whether `in_value` finds nothing, told by what it `may_mention` and by its key: quick, never wrong in a yes.

    A wallet's address is the one form that has nothing to be noticed by.
    """
    return not mentions and kind_of_key(key) is None and "0x" not in value and "bc1" not in value


def in_value(value: str, key: str) -> tuple[Named, ...]:
    """What a value is, taken as a whole; a list of such ("a@b.c, d@e.f") counts as each. () if it is text."""
    value = plain_at(value.strip())
    if not value or len(value) > 4 * MOST_VALUE or "\n" in value:
        return ()
    found = _single(value, key)
    if found or not ("," in value or ";" in value):
        return found
    parts = [_single(part.strip(), "") for part in re.split("[,;]", value) if part.strip()]
    if not all(parts):
        return _under_key(value, key)
    return tuple(Named(item.kind, item.value, key, alone=True) for part in parts for item in part)


def in_word(word: str, *, addressed: bool) -> Iterable[tuple[NamedKind, str]]:
    """What a word of running text is or holds, without the punctuation around it."""
    if "://" in word:
        match = _SCHEME.search(word.lower())
        return _link(word[match.start() :]) if match else ()
    if "@" in word:
        emails = _EMAIL.findall(word)
        if len(emails) < word.count("@"):
            emails += [email for email in _ATEXT_EMAIL.findall(word) if not email.endswith(tuple(emails))]
        if not emails and addressed and _AT.fullmatch(word):
            emails = [word]
        return tuple(("email", _email(email)) for email in emails)
    return _token(word, None)


def with_spaces(text: str, *, grouped: bool) -> Iterator[tuple[NamedKind, str]]:
    """What running text mentions that spaces run through; accounts only if it is known to hold a group of one."""
    if '"@' in text:
        for match in _QUOTED_EMAIL.finditer(text):
            yield "email", _email(match[0])[:MOST_VALUE]
    if "+" in text:
        for match in _PHONE.finditer(text):
            yield "phone", _digits(match[0])
    if grouped and _SPACED_START.search(text):
        for match in _SPACED.finditer(text):
            yield "account", match[0].replace(" ", "").lower()


def _single(value: str, key: str) -> tuple[Named, ...]:
    kind = kind_of_key(key)
    if kind != "account" and _is_date(value):
        return ()
    shown = _DISPLAYED.fullmatch(value) if value.endswith(">") else None
    plain = shown[1] if shown else value
    found: Iterable[tuple[NamedKind, str]] = ()
    if '"@' in plain and _QUOTED_EMAIL.fullmatch(plain):
        found = (("email", _email(plain)),)
    elif "@" in plain and is_addressing(key) and _AT.fullmatch(plain) and "://" not in plain:
        found = (("email", _email(plain.removeprefix("mailto:"))),)
    elif " " not in plain and "\t" not in plain:
        found = tuple(_token(plain.removeprefix("mailto:"), kind))
    elif plain[2:4].isdigit() and _SPACED.fullmatch(plain):
        found = (("account", plain.replace(" ", "").lower()),)
    if not found and (
        (plain[:1] == "+" and _PHONE.fullmatch(plain)) or (kind == "phone" and 6 < len(_digits(plain)) < 17)
    ):
        found = (("phone", _digits(plain)),)
    if found:
        return tuple(Named(kind, text[:MOST_VALUE], key, alone=True) for kind, text in found)
    return () if "," in value or ";" in value else _under_key(value, key)


def _token(value: str, kind: NamedKind | None) -> Iterable[tuple[NamedKind, str]]:
    """What a value without spaces is, under a key of this kind."""
    if "://" in value:
        return _link(value) if _SCHEME.match(value.lower()) else ()
    told = _by_key(value, kind) or _by_form(value)
    if told is None:
        return _bare(value, trusted=kind in {"host", "url"})
    if told == "email":
        return (("email", _email(value)),)
    return ((told, value.lower().removeprefix("#")),)


def _by_key(value: str, kind: NamedKind | None) -> NamedKind | None:
    if kind == "account" and value.isdigit() and len(value) > 3:
        return "account"
    if kind == "channel" and _CHANNEL.fullmatch(value):
        return "channel"
    return "path" if kind == "path" and not _EMAIL.fullmatch(value) else None


def _by_form(value: str) -> NamedKind | None:
    if value.isalpha():
        return None
    if "@" in value and _EMAIL.fullmatch(value):
        return "email"
    if value[:1] == "#" and _CHANNEL.fullmatch(value) and not _COLOUR.fullmatch(value):
        return "channel"
    if _is_account(value):
        return "account"
    if _is_path(value):
        return "path"
    return "email" if "@" in value and _ATEXT_EMAIL.fullmatch(value) else None


def _under_key(value: str, key: str) -> tuple[Named, ...]:
    """A value that only its key tells of: `hotel: Sea View`."""
    kind = kind_of_key(key)
    value = value.lower()
    if kind is None or len(value) > MOST_VALUE or value in _NOBODY or _is_date(value):
        return ()
    if kind == "account" and any(letter.isdigit() for letter in value):
        return (Named(kind, "".join(value.split()), key, alone=True),)
    if kind in {"account", "phone", "url"}:
        kind = "name"
    return (Named(kind, " ".join(value.split()).lstrip("#@"), key, alone=True),)


def _bare(word: str, *, trusted: bool = False) -> Iterator[tuple[NamedKind, str]]:
    """A host, perhaps with a path, written without a scheme."""
    if "." not in word and not trusted:
        return
    host, slash, path = word.partition("/")
    name = host.partition(":")[0].lower()
    if not _HOST.fullmatch(name):
        return
    if name.startswith("www.") or trusted or _is_registered(name, host):
        if slash and path.strip("/"):
            yield from _link("http://" + word)
        else:
            if name.startswith("www.") or trusted:
                yield "url", _without_www(name)
            yield "host", _without_www(name)


def _link(url: str) -> Iterator[tuple[NamedKind, str]]:
    scheme, _, rest = url.partition("://")
    scheme = scheme.lower()
    rest = rest.partition("#")[0].partition("?")[0]
    authority, _, path = rest.replace("\\", "/").partition("/")
    host = authority.rpartition("@")[2].lower()
    host = host.partition("]")[0].strip("[") if host.startswith("[") else host.partition(":")[0]
    if not host:
        return
    path = path.rstrip("/.,!'").lower()
    web = scheme in {"http", "https"}
    host = _without_www(host) if web else f"{scheme}://{host}"
    yield "url", (f"{host}/{path}" if path else host)[:MOST_VALUE]
    yield "host", host[:MOST_VALUE]


def _is_registered(name: str, written: str) -> bool:
    """Whether a dotted word is likely a host: its ending is a known domain and it is not mixed like.This."""
    ending = name.rstrip(".").rpartition(".")[2]
    return (ending in TOP_LEVEL and (written.islower() or written.isupper())) or ending.isdigit()


def _is_path(word: str) -> bool:
    return _is_file(word) or (("/" in word or "\\" in word) and _PATH.fullmatch(word) is not None)


def _is_file(word: str) -> bool:
    if "." not in word:
        return False
    stem, _, ending = word.rpartition(".")
    return bool(stem) and ending.lower() in FILE_ENDINGS and not stem.startswith("www.")


def _is_account(word: str) -> bool:
    if len(word) < 12:
        return False
    if _ACCOUNT.fullmatch(word):
        return sum(letter.isdigit() for letter in word) >= 8
    if _WALLET.fullmatch(word):
        return True
    return word.isascii() and word.isdigit() and 13 <= len(word) <= 19 and _luhn(word)


def _luhn(digits: str) -> bool:
    doubled = (int(digit) * 2 for digit in digits[-2::-2])
    return (sum(map(int, digits[-1::-2])) + sum(number - 9 * (number > 9) for number in doubled)) % 10 == 0


def _is_date(value: str) -> bool:
    """Whether it is a date, a time or a number, which name nothing."""
    return (value[:1].isdigit() or value[:1] == "-") and _DATE.fullmatch(value) is not None


def _digits(text: str) -> str:
    return "".join(letter for letter in text if letter in "0123456789")


def _email(text: str) -> str:
    """One form of an address: quotes that it could do without mean nothing."""
    quoted = _QUOTED.fullmatch(text) if text[:1] == '"' else None
    return ("".join(quoted.groups()) if quoted else text).lower().lstrip("@").strip(".'-_")


def plain_at(text: str) -> str:
    """Addresses in their plain letters: a full-width @ is one."""
    return text if text.isascii() or not _ANY_AT.search(text) else normalize("NFKC", text)


def _without_www(host: str) -> str:
    return host.removeprefix("www.").rstrip(".")
