"""What a habit is: something that a principal does again and again, and when."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from tests.support.simulator.rhythm import Schedule
from tests.support.simulator.trail import Trail


@dataclass(frozen=True)
class Habit:
    """`act` writes one occurrence, from the given time on, into the trail.

    `name` names the random stream: a role's other habits don't change when one is added.
    """

    name: str
    schedule: Schedule
    act: Callable[[Trail, datetime], None]
