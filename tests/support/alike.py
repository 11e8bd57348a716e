"""Whether two states are the same to the last bit: the type and value of every field, and the order of every mapping.

`==` is not enough: it holds 1 and 1.0 for the same, and 0.0 and -0.0, and asks for no order.
"""

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np

# Derived when first asked for, or of the saving itself: lawfully otherwise in a state that was restored.
DERIVED: Final = frozenset(
    {
        *(
            "_usual",
            "_usual_block",
            "_usual_prior",
            "_fitted",
            "_cache",
            "_actions",
            "_hours",
            "_limits",
            "_shares",
            "_known",
            "_bounds",
        ),
        *("_changed", "_new", "_gone", "_capture", "_published_saved", "_recent_saved", "_ids_saved"),
        *("_ready", "_saved", "unread"),  # who waits, and what waits as it was saved
        "tests_ended",
    }
)
# Sums whose order says nothing: they are written out in order, and nothing that reads them may depend on it.
UNORDERED: Final = frozenset({"_counts", "following", "_strata"})

_PLAIN: Final = (bool, int, float, str, bytes, type(None), type)


def differences(one: Any, other: Any) -> list[str]:
    """Where two objects differ, each place once: its path, with what the one and the other have there."""
    return list(dict.fromkeys(_differ(one, other, "", set(), ordered=True)))


def _differ(one: Any, other: Any, path: str, met: set[tuple[int, int]], *, ordered: bool) -> Iterator[str]:
    if type(one) is not type(other) or (isinstance(one, _PLAIN) and repr(one) != repr(other)):
        yield f"{path}: {one!r:.80} or {other!r:.80}"
        return
    if isinstance(one, _PLAIN) or (id(one), id(other)) in met:
        return
    met.add((id(one), id(other)))
    inside, others = (_inside(each, ordered=ordered) for each in (one, other))
    if list(inside) != list(others):
        yield f"{path}: {list(inside)!r:.200} or {list(others)!r:.200}"
    for name, own in inside.items():
        if name in others:
            yield from _differ(own, others[name], path + name, met, ordered=ordered and name[1:] not in UNORDERED)


def _inside(one: Any, *, ordered: bool) -> Mapping[str, Any]:
    """The parts of an object by what leads to them, in the order that counts; of numbers in a row their bytes."""
    if isinstance(one, array | np.ndarray):
        return {"": one.tobytes()}
    if isinstance(one, set | frozenset):
        return {f"<{part}>": part for part in sorted(map(repr, one))}
    if isinstance(one, Mapping):
        keys = one if ordered else sorted(one, key=repr)
        return {f"[{key!r}]": one[key] for key in keys}
    if isinstance(one, Sequence):
        return {f"[{number}]": part for number, part in enumerate(one)}
    return {f".{name}": getattr(one, name, None) for name in _fields(one)}


def _fields(one: Any) -> Iterable[str]:
    names: dict[str, None] = dict.fromkeys(getattr(one, "__struct_fields__", ()))
    if not isinstance(one, msgspec.Struct):
        for kind in reversed(type(one).__mro__):
            slots = vars(kind).get("__slots__", ())
            names |= dict.fromkeys([slots] if isinstance(slots, str) else slots)
        names |= dict.fromkeys(getattr(one, "__dict__", {}))
    return [name for name in names if name not in DERIVED and not name.startswith("__")]
