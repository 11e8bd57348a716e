"""The model card: what a forest was trained on, how well it is measured, what it is for and what it is not."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

import msgspec

from detector.wording import number, plural, printable

PURPOSE: Final = (
    "A challenger beside the detectors: it notes, at the lowest severity, hours of a principal that are unlike "
    "nearly all hours of the whole fleet. Its notes join incidents that other evidence has opened."
)
STRANGEST: Final = 10
"""How many hours a list of the strangest tells."""

YARDSTICK: Final = (
    "Its p-values are measured on hours among these: how often it notes here is what `p` says, and no forecast. "
    "`detector train --compare` on a later history tells how well that holds."
)
LIMITS: Final = (
    "It pages nobody by itself, and must not be made to: most of what it notes is rare and harmless.",
    "It knows the fleet, not the principal: what is usual for one role hides what is strange for another.",
    "It does not learn. When the work of the fleet changes, it has to be trained again.",
    "History that held an attack taught it the attack as something that happens.",
    "A feature that never varied in training is one that it is blind to.",
    "It is no measure of a person: it must not be used to judge people's work.",
)


_STRANGE: Final = ("Principal", "Role", "Hour (UTC)", "Acts", "Score", "p", "Why")


class FeatureCard(msgspec.Struct, frozen=True):
    """One feature in training: its 5th percentile, median and 95th, in words; whether it varied at all."""

    name: str
    low: str
    median: str
    high: str
    varied: bool


class Strange(msgspec.Struct, frozen=True):
    """One of the strangest held-out vectors, and what it stands out by, the weightiest first."""

    principal: str
    role: str
    hour: datetime
    acts: int
    score: float
    p_value: float
    reasons: tuple[str, ...]


class Overlap(msgspec.Struct, frozen=True):
    """Principal's hours that one of the running detectors flagged, and how many of these are strange to the forest."""

    detector: str
    hours: int
    noted: int


class Level(msgspec.Struct, frozen=True):
    """What the challenger would say at a value of its `p`: notes, and strange hours by whether others flag them too."""

    p: float
    notes: int
    notes_a_day: float
    both: int
    forest_only: int


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """The forest beside the detectors that run, over hours that it was not trained on.

    `config` is the hash of the configuration whose `detectors` ran; `p` and `repeat_after` are as the challenger has
    them there. `warm_up_events` came before what counts: `events` from `first` to `last`, in so many `hours` of
    principals. The running detectors flag an hour by a finding of SEV3 or worse that nothing suppresses; the forest
    by one judgement below `p`, noted or not. `noted_share` is of the hours that they flag, None if there is none.
    `notes` are those that the challenger would have made; `levels` tell the same of other values of `p`; `alone` are
    the strangest of its `forest_only` hours.
    """

    config: str
    detectors: tuple[str, ...]
    p: float
    repeat_after: float
    first: datetime
    last: datetime
    warm_up_events: int
    events: int
    hours: int
    both: int
    running_only: int
    forest_only: int
    noted_share: float | None
    notes: int
    notes_a_day: float
    levels: tuple[Level, ...]
    overlaps: tuple[Overlap, ...]
    alone: tuple[Strange, ...]

    def shares(self) -> list[tuple[str, int, float]]:
        """The hours by who flags them, in words, with their number and their share of all."""
        neither = self.hours - self.both - self.running_only - self.forest_only
        counts = {
            "both": self.both,
            "the running detectors only": self.running_only,
            "the forest only": self.forest_only,
            "neither": neither,
        }
        return [(who, count, count / self.hours if self.hours else 0.0) for who, count in counts.items()]


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a trained forest. Times are UTC; vectors are those after the 1st, 2nd, 4th … act of an hour.

    `sha256` is of the bytes of the model file; `threshold` the score beyond which the `contamination` share of
    the training vectors lies; `held_out_scores` quantiles of the score, by their rank; `least_p_value` the
    least that so many held-out vectors can tell; `kept` one in so many principal's hours that were used.
    `comparison` is what decides whether the model may be used: without one it may not.
    """

    sources: tuple[str, ...]
    first: datetime
    last: datetime
    held_out_from: datetime
    principals: int
    roles: dict[str, int]
    principal_hours: int
    kept: int
    training_vectors: int
    held_out_vectors: int
    features: tuple[FeatureCard, ...]
    contamination: float
    trees: int
    sample: int
    seed: int
    threshold: float
    least_p_value: float
    held_out_scores: dict[str, float]
    strangest: tuple[Strange, ...]
    sha256: str
    versions: dict[str, str]
    comparison: Comparison | None = None
    purpose: str = PURPOSE
    limits: tuple[str, ...] = LIMITS


def card_json(card: Card) -> bytes:
    """The card for machines."""
    return msgspec.json.format(msgspec.json.encode(card), indent=2) + b"\n"


def card_markdown(card: Card) -> str:
    """The card for people."""
    varied = [feature for feature in card.features if feature.varied]
    blind = [feature.name for feature in card.features if not feature.varied]
    lines = [
        "# Model card: isolation forest over principals' hours",
        "",
        card.purpose,
        "",
        "## What it is not for",
        "",
        *(f"- {limit}" for limit in card.limits),
        "",
        "## Data",
        "",
        *_table(("What", "Value"), _data(card)),
        "",
        "## Features",
        "",
        "Of a principal's hour so far. Percentiles over the training vectors.",
        "",
        *_table(("Feature", "5 %", "Median", "95 %"), ((f.name, f.low, f.median, f.high) for f in varied)),
        "",
        *([f"Never varied, so it is blind to them: {', '.join(blind)}.", ""] if blind else []),
        "## Model",
        "",
        *_table(("What", "Value"), _model(card)),
        "",
        "## Beside the running detectors",
        "",
        *_beside(card),
        "## The strangest held-out hours",
        "",
        *_table(_STRANGE, map(_strange, card.strangest)),
        "",
    ]
    return "\n".join(lines)


def _beside(card: Card) -> list[str]:
    found = card.comparison
    if found is None:
        return ["Not compared yet: the service refuses it. `detector train --compare` does it.", ""]
    return [
        *_words(found),
        *([YARDSTICK, ""] if found.first < card.last else []),
        *_table(("Flagged by", "Hours", "Share"), ((who, number(n), f"{s:.2%}") for who, n, s in found.shares())),
        "",
        *_table(
            ("p", "Notes", "A day", "Hours of both", "Of the forest only"),
            (
                (f"{x.p:g}", number(x.notes), f"{x.notes_a_day:g}", str(x.both), str(x.forest_only))
                for x in found.levels
            ),
        ),
        "",
        *_table(
            ("Running detector", "Hours flagged", "Strange to the forest too"),
            ((each.detector, number(each.hours), number(each.noted)) for each in found.overlaps),
        ),
        "",
        "The strangest to the forest alone:",
        "",
        *_table(_STRANGE, map(_strange, found.alone)),
        "",
    ]


def _words(found: Comparison) -> list[str]:
    flagged = found.both + found.running_only
    also = f", {found.noted_share:.0%} of those that they flag" if found.noted_share is not None else ""
    span = (
        f"Over hours that it was not trained on, from {_minute(found.first)} to {_minute(found.last)} "
        f"({plural(found.events, 'event')}, after {number(found.warm_up_events)} to warm up), beside what the "
        f"configuration {found.config} runs: {', '.join(found.detectors)}."
    )
    sums = (
        f"With `p` at {found.p:g} and `repeat_after` at {found.repeat_after:g} s it would have added "
        f"{plural(found.notes, 'note')}, {found.notes_a_day:g} a day. The running detectors flag "
        f"{plural(flagged, 'hour')} of principals at SEV3 or worse; {number(found.both)} of them are strange to the "
        f"forest too{also}."
    )
    return [span, "", sums, ""]


def _data(card: Card) -> Iterable[tuple[str, str]]:
    roles = ", ".join(f"{role or '(none)'} {count}" for role, count in card.roles.items())
    sampled = f", one in {card.kept} of all" if card.kept > 1 else ""
    return (
        ("Sources", ", ".join(card.sources)),
        ("From, to", f"{_minute(card.first)} to {_minute(card.last)}"),
        ("Held out from", _minute(card.held_out_from)),
        ("Principals", number(card.principals)),
        ("Principals by role", roles),
        ("Hours of principals", f"{number(card.principal_hours)}{sampled}"),
        ("Vectors", f"{number(card.training_vectors)} for training, {number(card.held_out_vectors)} held out"),
    )


def _model(card: Card) -> Iterable[tuple[str, str]]:
    return (
        ("Trees", f"{plural(card.trees, 'tree')} of {plural(card.sample, 'row')} each"),
        ("Contamination", f"{card.contamination:g} (a score beyond {card.threshold:.4f})"),
        ("Seed", str(card.seed)),
        ("Held-out scores", ", ".join(f"{rank}: {score:.4f}" for rank, score in card.held_out_scores.items())),
        ("Least p-value it can tell", f"{card.least_p_value:.2g} (the challenger's `p` has to be above it)"),
        ("SHA-256 of the model file", card.sha256),
        ("Versions", ", ".join(f"{name} {version}" for name, version in card.versions.items())),
    )


def _strange(row: Strange) -> tuple[str, ...]:
    reasons = "; ".join(row.reasons)
    return (
        *(row.principal, row.role, _minute(row.hour), str(row.acts)),
        *(f"{row.score:.4f}", f"{row.p_value:.2g}", reasons),
    )


def _minute(time: datetime) -> str:
    return time.strftime("%Y-%m-%d %H:%M")


def _table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table in Markdown; what came from outside can't break out of its cell."""
    lines = [heading, ["---"] * len(heading), *rows]
    return [f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines]


def _cell(text: str) -> str:
    shown = printable(text).replace("&", "&amp;").replace("<", "&lt;")
    return "".join(f"\\{char}" if char in "\\|`[" else char for char in shown)
