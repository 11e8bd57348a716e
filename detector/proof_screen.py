"""What a person sees of a verification."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from detector.store.proof import Proof, Tail
from detector.wording import plural, printable

_MOST_SHOWN: Final = 20


def report(proof: Proof, *, anchored: bool) -> RenderableType:
    """The verdict, what was found, and what is worth knowing."""
    parts: list[RenderableType] = [_verdict(proof)]
    if proof.problems:
        parts.append(_problems(proof))
    parts.append(_counts(proof))
    parts += [Text(f"note: {printable(note)}", style="yellow") for note in _notes(proof, anchored=anchored)]
    return Group(*parts)


def _verdict(proof: Proof) -> Text:
    if proof.sound:
        return Text(
            f"Nothing was altered: {plural(sum(proof.rows.values()), 'row')} are as written.", style="bold green"
        )
    first = proof.problems[0]
    return Text(
        f"{plural(proof.problem_count, 'breach', 'breaches')}. The first: {printable(first.detail)}", style="bold red"
    )


def _problems(proof: Proof) -> Table:
    table = Table(show_lines=False)
    table.add_column("What", style="red", no_wrap=True)
    table.add_column("Written (UTC)", no_wrap=True)
    table.add_column("Which", overflow="fold")
    for problem in proof.problems[:_MOST_SHOWN]:
        table.add_row(problem.what, _time(problem.written_at), Text(printable(problem.detail)))
    if proof.problem_count > _MOST_SHOWN:
        table.add_row(
            "…", "", f"and {proof.problem_count - _MOST_SHOWN:,} more (--format json has {len(proof.problems):,})"
        )
    return table


def _counts(proof: Proof) -> Table:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="dim")
    table.add_column(justify="right")
    for name, count in proof.rows.items():
        table.add_row(f"rows as written, {name}", f"{count:,}")
    table.add_row("chains", f"{proof.chains:,}")
    table.add_row("links", f"{proof.links:,}")
    table.add_row("anchors that fit", f"{proof.anchors:,}")
    if proof.until:
        table.add_row("last link", _time(proof.until))
    return table


def _notes(proof: Proof, *, anchored: bool) -> Iterator[str]:
    if not proof.links:
        yield "the store has no chain: nothing in it can be verified"
    for table, count in proof.unlinked.items():
        yield f"{plural(count, 'row')} of {table} are from before there were chains: only their number is known"
    if proof.expired:
        yield f"{plural(proof.expired, 'link')} can't be checked any more: they cover rows past their retention"
    if proof.held:
        yield f"of {plural(proof.held, 'link')} what a legal hold keeps is as it was sealed; the rest has expired"
    if proof.alike:
        yield f"the rows of {plural(proof.alike, 'link')} were written again, with the same content"
    if proof.unfinished:
        yield f"{plural(proof.unfinished, 'chain')} ended, or were being written, between a link and its rows"
    if not anchored and proof.links:
        yield "no anchors were given: who can write to the store could have written all of it anew"
    elif proof.tails:
        yield from map(_tail, proof.tails[:_MOST_SHOWN])


def _tail(tail: Tail) -> str:
    return (
        f"no anchor vouches for the last {plural(tail.links, 'link')} of {tail.chain} ({plural(tail.rows, 'row')}, "
        f"written from {_time(tail.since)} to {_time(tail.until)})"
    )


def _time(micros: int) -> str:
    return f"{datetime.fromtimestamp(micros / 1e6, UTC):%Y-%m-%d %H:%M:%S}" if micros else ""
