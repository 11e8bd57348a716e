"""What a person sees of a training: what the forest stands on, and the strangest hours it was not trained on."""

from rich.table import Table
from rich.text import Text

from detector.detectors.forest_challenger import ForestChallenger
from detector.screens import plain
from detector.train.training import Trained
from detector.wording import number, plural


def trained_table(trained: Trained) -> Table:
    """One row for each of the strangest held-out hours; the caption says what was trained and where it is."""
    card = trained.card
    table = Table(title="The strangest held-out hours", title_justify="left", caption_justify="left")
    table.caption = _caption(trained)
    table.add_column("Principal", overflow="fold")
    table.add_column("Hour (UTC)", no_wrap=True)
    for heading in ("Acts", "Score", "p"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("Why", overflow="fold", ratio=1)
    for row in card.strangest:
        table.add_row(
            plain(row.principal),
            f"{row.hour:%Y-%m-%d %H:%M}",
            number(row.acts),
            f"{row.score:.3f}",
            f"{row.p_value:.1g}",
            Text("; ".join(row.reasons)),
        )
    return table


def _caption(trained: Trained) -> Text:
    card, default = trained.card, ForestChallenger.Settings().p
    text = Text(
        f"{plural(card.principals, 'principal')}, {plural(card.principal_hours, 'hour')} of theirs: "
        f"{plural(card.training_vectors, 'vector')} for training, {number(card.held_out_vectors)} held out; "
        f"no p-value below {card.least_p_value:.2g} can be told. {trained.model} (SHA-256 {card.sha256[:16]}…), "
        "with its card beside it."
    )
    if card.least_p_value >= default:
        text.append(
            f"\nWith its `p` of {default:g} the challenger would never speak: train on a longer history, or set "
            f"detectors.forest_challenger.p above {card.least_p_value:.2g}.",
            style="yellow",
        )
    return text
