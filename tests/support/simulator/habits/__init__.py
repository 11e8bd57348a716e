"""The habits of each role: one file a part of the company's life, and this table of who does what how often."""

from collections.abc import Mapping
from typing import Final

from tests.support.simulator.habits import agents, forum, jobs, mail, office, permissions
from tests.support.simulator.habits.habit import Habit
from tests.support.simulator.rhythm import AROUND_THE_CLOCK, Daily, Poisson

_SIGN_IN: Final = (0, 0, 0, 0, 0, 0, 0, 1, 3, 3, 1) + (0,) * 13
_MAINTENANCE: Final = Habit("maintenance", Poisson(0.06), jobs.maintenance)
_DESK: Final = (
    Habit("sign_in", Poisson(1.0, _SIGN_IN), office.sign_in),
    Habit("reading", Poisson(4.0), office.reading),
    Habit("calendar", Poisson(1.5), office.calendar),
)
_FURTHER: Final = Habit("wider_reading", Poisson(1.2), office.wider_reading)

HABITS: Final[Mapping[str, tuple[Habit, ...]]] = {
    "engineer": (*_DESK, _FURTHER, Habit("conversation", Poisson(0.25), forum.conversation)),
    "support": (
        *_DESK,
        _FURTHER,
        Habit("conversation", Poisson(0.2), forum.conversation),
        Habit("first_days", Poisson(1.5), office.first_days),
    ),
    "analyst": (
        *_DESK,
        Habit("wider_reading", Poisson(3.0), office.wider_reading),
        Habit("report", Poisson(1.5), office.report),
    ),
    "operations": (
        *_DESK,
        _FURTHER,
        Habit("on_call", Poisson(3.0, AROUND_THE_CLOCK, 0.5), office.on_call),
        Habit("named_user", Poisson(0.5), permissions.named_user),
        Habit("small_group", Poisson(0.3), permissions.small_group),
        Habit("temporary", Poisson(0.25), permissions.temporary),
        Habit("open_document", Poisson(0.2), permissions.open_document),
        Habit("clean_up", Poisson(0.4), permissions.clean_up),
    ),
    "manager": (*_DESK, _FURTHER, Habit("open_document", Poisson(0.15), permissions.open_document)),
    "content-moderation": (
        Habit("moderate", Poisson(16.0, AROUND_THE_CLOCK, 0.9), agents.moderate),
        _MAINTENANCE,
    ),
    "knowledge-base": (
        Habit("refresh_articles", Poisson(9.0, AROUND_THE_CLOCK, 0.4), agents.refresh_articles),
        Habit("publish_article", Poisson(0.5), agents.publish_article),
        _MAINTENANCE,
    ),
    "support-triage": (
        Habit("triage", Poisson(14.0, AROUND_THE_CLOCK, 0.6), agents.triage),
        _MAINTENANCE,
    ),
    "mail-assistant": (
        Habit("answer_mail", Poisson(10.0), mail.answer_mail),
        Habit("tidy_up", Poisson(1.0), mail.tidy_up),
        _MAINTENANCE,
    ),
    "research-browser": (Habit("browse", Poisson(11.0), agents.browse), _MAINTENANCE),
    "engineering-assistant": (
        Habit("help_code", Poisson(9.0), agents.help_code),
        Habit("private_answer", Poisson(3.0), forum.private_answer),
        Habit("approved_answer", Poisson(0.8), forum.approved_answer),
        Habit("by_agent", Poisson(0.15), permissions.by_agent),
        _MAINTENANCE,
    ),
    "data-pipeline": (
        Habit("export", Daily(0.1, every_hours=1, jitter_minutes=9.0), agents.export),
        Habit("special_export", Poisson(0.3), agents.special_export),
        Habit("purge", Poisson(0.5), jobs.purge),
        _MAINTENANCE,
    ),
    "backup": (Habit("nightly_backup", Daily(1.5), jobs.nightly_backup),),
    "iam": (
        Habit("sync_directory", Daily(4.0, every_hours=6), jobs.sync_directory),
        Habit("inherited", Poisson(1.0, AROUND_THE_CLOCK, 0.2), permissions.inherited),
    ),
    "publisher": (Habit("publish_site", Poisson(1.5), jobs.publish_site),),
}
