"""The families in which one detector, or one part of one, stands alone: what the ablation needs besides the others."""

import random
from dataclasses import replace
from datetime import timedelta
from typing import Final

from detector.charter import Charter
from tests.support.simulator.families import INCIDENTS, between
from tests.support.simulator.scenarios import lone
from tests.support.simulator.variants import Family, Twist
from tests.support.simulator.world import Population

_WEEKS: Final = timedelta(weeks=5)


def _plan(rng: random.Random) -> lone.Lone:
    return lone.Lone(times=rng.randint(20, 80), pace_seconds=between(rng, 5, 40), volume=between(rng, 0.3, 3))


def _purge(rng: random.Random) -> lone.Lone:
    """Half a mailbox or more: fewer are tidied up on other days."""
    return lone.Lone(times=rng.randint(40, 80), pace_seconds=between(rng, 2, 20), volume=between(rng, 1, 3))


def _pipelines(role: str) -> Population:
    return Population({"engineer": 1, "operations": 2, "analyst": 4, "support": 1, "iam": 1, role: 12}, newcomers=0)


def _few(role: str) -> Population:
    del role
    return Population({"engineer": 1, "operations": 2, "analyst": 1, "support": 1, "iam": 1, "backup": 1}, newcomers=0)


_PLAIN: Final = Twist("plain")
_FROG: Final = next(family for family in INCIDENTS if family.name == "boiling_frog")

LONE: Final[tuple[Family, ...]] = (
    Family("bulk_read", "support-triage", lone.bulk_read, _plan, (_PLAIN, Twist("kb", role="knowledge-base"))),
    Family("unmarked_purge", "mail-assistant", lone.unmarked_purge, _purge, (_PLAIN,)),
    Family(
        "out_of_bounds", "support-triage", lone.out_of_bounds, _plan, (_PLAIN,),
        charters={"support-triage": Charter(resources=("tickets://*", "crm://*", "kb://*", "https://*"))},
    ),
    Family(
        "unapproved_post", "knowledge-base", lone.unapproved_post, _plan, (_PLAIN,),
        charters={"knowledge-base": Charter(needs_approval=frozenset({"publish"}))},
    ),
    Family("loop", "support-triage", lone.loop, _plan, (_PLAIN,), history=timedelta(weeks=2)),
    Family("hijacked_mail", "mail-assistant", lone.hijacked_mail, _plan, (_PLAIN,)),
    Family(
        "copied_by_day", "backup", lone.copied_by_day, _plan, (_PLAIN,),
        population=_few, history=_WEEKS, around=lone.hourly_backups,
    ),
    Family(
        "big_export", "data-pipeline", lone.big_export, _plan, (_PLAIN,),
        population=_pipelines, history=timedelta(weeks=2),
    ),
    replace(_FROG, name="boiling_frog_late", history=timedelta(days=50)),
)  # fmt: skip
