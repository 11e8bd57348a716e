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
LIMITS: Final = (
    "It pages nobody by itself, and must not be made to: most of what it notes is rare and harmless.",
    "It knows the fleet, not the principal: what is usual for one role hides what is strange for another.",
    "It does not learn. When the work of the fleet changes, it has to be trained again.",
    "History that held an attack taught it the attack as something that happens.",
    "A feature that never varied in training is one that it is blind to.",
    "It is no measure of a person: it must not be used to judge people's work.",
)


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


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a trained forest. Times are UTC; vectors are those after the 1st, 2nd, 4th … act of an hour.

    `sha256` is of the bytes of the model file; `threshold` the score beyond which the `contamination` share of
    the training vectors lies; `held_out_scores` quantiles of the score, by their rank; `least_p_value` the
    least that so many held-out vectors can tell; `kept` one in so many principal's hours that were used.
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
        "## The strangest held-out hours",
        "",
        *_table(("Principal", "Role", "Hour (UTC)", "Acts", "Score", "p", "Why"), map(_strange, card.strangest)),
        "",
    ]
    return "\n".join(lines)


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
