"""What peers are used to doing: the order of their actions and what their hours look like, by role.

Like `peers`, sums that can be added up; but they are published once a day, since reading them out costs
milliseconds a role, and habits change slowly.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, Self

from detector.activity import NAMES
from models.behaviour import Behaviour, BehaviourParams, SampleParams, VectorSample
from models.sequence import ActionCounts, ActionPrior

ROLES_MOST: Final = 200

# Three weeks of hours. A role is judged by its own as soon as a hundred are known: roles differ by nature, so the
# fleet's hours would make everything a role does look strange.
SAMPLE: Final = SampleParams(span=168, strata=3, size=256)
PARAMS: Final = BehaviourParams(least=100)


class Habits:
    """What one role does: which action follows which, and a sample of its principals' hours."""

    __slots__ = ("actions", "hours")

    def __init__(self) -> None:
        self.actions = ActionCounts()
        self.hours = VectorSample(NAMES, SAMPLE)

    def merge(self, other: "Habits") -> None:
        """Add another partition's sums."""
        self.actions.merge(other.actions)
        self.hours.merge(other.hours)

    def snapshot(self) -> list[Any]:
        """[actions, hours]."""
        return [self.actions.snapshot(), self.hours.snapshot()]

    def restore(self, state: list[Any]) -> Self:
        """Take over a snapshot."""
        actions, hours = state
        self.actions.restore(actions)
        self.hours.restore(hours)
        return self


class HabitSums:
    """The habits of a partition's roles; past the bound, those of no role."""

    __slots__ = ("roles",)

    def __init__(self) -> None:
        self.roles: dict[str, Habits] = {}

    def role(self, name: str) -> Habits:
        """The sums of a role, made when first asked for."""
        habits = self.roles.get(name)
        if habits is None:
            kept = name if len(self.roles) < ROLES_MOST else ""
            habits = self.roles.get(kept)
            if habits is None:
                habits = self.roles[kept] = Habits()
        return habits

    def merge(self, other: "HabitSums") -> None:
        """Add another partition's sums."""
        for name, habits in sorted(other.roles.items()):
            self.role(name).merge(habits)

    def snapshot(self) -> dict[str, Any]:
        """Plain data by role."""
        return {name: habits.snapshot() for name, habits in self.roles.items()}

    def restore(self, state: Mapping[str, Any]) -> Self:
        """Take over a snapshot."""
        self.roles = {name: Habits().restore(habits) for name, habits in state.items()}
        return self


class HabitPriors:
    """The habits in force until the next day: read-only, read out role by role when first asked for."""

    def __init__(self, published: Iterable[HabitSums] = ()) -> None:
        self._sums = HabitSums()
        for sums in published:
            self._sums.merge(sums)
        fleet = ActionCounts()
        for _, habits in sorted(self._sums.roles.items()):
            fleet.merge(habits.actions, once=True)
        self._fleet_actions = ActionPrior(fleet)
        self._actions: dict[str, ActionPrior] = {}
        self._hours: dict[str, Behaviour] = {}

    def actions(self, role: str) -> ActionPrior:
        """What follows what in a role, drawn to what does in the fleet."""
        prior = self._actions.get(role)
        if prior is None:
            own = self._sums.roles.get(role)
            prior = self._fleet_actions if own is None else ActionPrior(own.actions, self._fleet_actions)
            self._actions[role] = prior
        return prior

    def hours(self, role: str) -> Behaviour:
        """What the hours of a role look like; not ready while the role is hardly known."""
        usual = self._hours.get(role)
        if usual is None:
            own = self._sums.roles.get(role) or Habits()
            usual = self._hours[role] = Behaviour(own.hours, PARAMS)
        return usual
