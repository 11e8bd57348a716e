"""How surprising is the next action after the last two, for this principal and among its peers."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from sys import intern
from typing import Any, Final, Self

import msgspec

from models.base import log10_surprise

# The shortest context: none at all. Longer ones are their actions, each behind a line break; "" before the first.
EVERYWHERE: Final = ""
_START: Final = (EVERYWHERE, intern("\n"), intern("\n\n"))

Contexts = tuple[str, str, str]

# Steps that a prior remembers the probability of: routines have few.
_KNOWN_MOST: Final = 4096

# What followed a context that only one action ever followed, as most do: that action, and how often.
_Only = tuple[str, int]


def shared(contexts: Iterable[str]) -> Contexts:
    """Contexts that were saved, as the object that all principals have of them."""
    _, last, both = contexts
    return _after(both[: len(both) - len(last)], last[1:]) if both.endswith(last) else (EVERYWHERE, last, both)


@lru_cache(maxsize=8_192)
def _after(last: str, action: str) -> Contexts:
    """The contexts behind two actions, `last` behind its line break: one object for all principals."""
    return (EVERYWHERE, intern(f"\n{action}"), intern(f"{last}\n{action}"))


class SequenceParams(msgspec.Struct, frozen=True):
    """How a `Sequence` counts.

    Attributes:
        discount: Pitman-Yor discount, 0..1: what each kind of action gives of its count to those less used.
        concentration: Pitman-Yor concentration: how many actions the wider knowledge counts for.
        memory: Actions of one context after which its counts are halved, so that old habits fade.
        capacity: Pairs of context and action remembered; past it the rarest quarter is forgotten.
        run: Actions over which the mean surprise of the last ones is taken, fading.
        clip: What a single action adds to a run at most: one leap is no run.
    """

    discount: float = 0.5
    concentration: float = 1.0
    memory: int = 1024
    capacity: int = 384
    run: float = 8.0
    clip: float = 3.0


DEFAULT: Final = SequenceParams()


class _Node:
    """What followed one context: actions by count, with the sum of counts and the number of kinds.

    Both include the forgotten actions, faded: how often new ones came is not forgotten with them.
    """

    __slots__ = ("actions", "kinds", "total")

    def __init__(self, total: float = 0.0, kinds: float = 0.0, actions: Mapping[str, int] | None = None) -> None:
        self.total = total
        self.kinds = kinds
        self.actions: dict[str, int] = dict(actions or {})

    def count(self, action: str, count: int = 1) -> int:
        """Count an action; returns its new count."""
        before = self.actions.get(action, 0)
        self.actions[action] = before + count
        self.total += count
        self.kinds += not before
        return before + count

    @classmethod
    def of(cls, only: _Only) -> "_Node":
        """What followed a context that only one action followed so far."""
        action, count = only
        return cls(float(count), 1.0, {action: count})

    def halve(self) -> None:
        """Let everything count half, what is left of it rounded up."""
        forgotten = self.total - sum(self.actions.values())
        self.actions = {action: (count + 1) // 2 for action, count in self.actions.items()}
        self.total = sum(self.actions.values()) + forgotten / 2.0
        self.kinds = (self.kinds + len(self.actions)) / 2.0

    def draw(self, action: str, p: float, params: SequenceParams) -> float:
        """The action's probability here, drawn to `p` as far as the counts leave open."""
        own = self.actions.get(action, params.discount) - params.discount
        return (own + (params.concentration + params.discount * self.kinds) * p) / (params.concentration + self.total)


class ActionCounts:
    r"""What the principals of a group do after what: counts that can be added up, in whatever order.

    A count grows with the number of principals that do an action after two others, and with the logarithm
    of how often each does (`Sequence.learn_one` tells when to add), so one principal in a loop does not
    decide what its peers may do. Past the capacity the pairs with the smallest counts are forgotten; until
    then the order of adding and merging does not matter.

    Don't use it for names with an identifier in them: template them first.

    Args:
        capacity: Pairs of context and action kept.

    Example:
        >>> one, two = ActionCounts(), ActionCounts()
        >>> one.add("\nlogin\nsearch", "read")
        >>> two.add("\nlogin\nsearch", "reply")
        >>> one.merge(two)
        >>> one.snapshot()
        [['\nlogin\nsearch', {'read': 1, 'reply': 1}]]
    """

    __slots__ = ("_pairs", "capacity", "following")

    def __init__(self, capacity: int = 2048) -> None:
        self.capacity = capacity
        self.following: dict[str, dict[str, int]] = {}
        self._pairs = 0

    def add(self, context: str, action: str) -> None:
        """Count an action after `context`, as `Sequence.learn_one` returned it."""
        self._add(context, action, 1)
        self._trim()

    def merge(self, other: "ActionCounts", *, once: bool = False) -> None:
        """Add another group's counts; `once` counts each of its pairs as one (a role among the fleet's)."""
        for context, actions in other.following.items():
            for action, count in actions.items():
                self._add(context, action, 1 if once else count)
        self._trim()

    def _add(self, context: str, action: str, count: int) -> None:
        actions = self.following.setdefault(context, {})
        before = actions.get(action, 0)
        actions[action] = before + count
        self._pairs += not before

    def _trim(self) -> None:
        if self._pairs <= self.capacity:
            return
        rows = [(-count, c, action) for c, actions in self.following.items() for action, count in actions.items()]
        self.following, self._pairs = {}, 0
        for count, context, action in sorted(rows)[: self.capacity * 3 // 4]:
            self._add(context, action, -count)

    def snapshot(self) -> list[Any]:
        """[[context, {action: count}], ...], in order."""
        return [[context, dict(sorted(actions.items()))] for context, actions in sorted(self.following.items())]

    def restore(self, state: list[Any]) -> Self:
        """Take over a snapshot."""
        self.following = {context: dict(actions) for context, actions in state}
        self._pairs = sum(map(len, self.following.values()))
        return self


class ActionPrior:
    r"""What a group's counts say of the next action; made from them once, then read.

    Args:
        counts: The group's counts as they are now.
        wider: Who speaks for the contexts and actions that are new to the group: the fleet, for a role.

    Example:
        >>> counts = ActionCounts()
        >>> for action in ("read", "read", "read", "reply"):
        ...     counts.add("\nlogin\nsearch", action)
        >>> prior, contexts = ActionPrior(counts), ("", "\nsearch", "\nlogin\nsearch")
        >>> [round(prior.probability(contexts, action), 2) for action in ("read", "reply", "delete")]
        [0.81, 0.3, 0.11]
    """

    __slots__ = ("_known", "_nodes", "_wider")

    def __init__(self, counts: ActionCounts, wider: "ActionPrior | None" = None) -> None:
        self._nodes: dict[str, _Node] = {}
        self._known: dict[tuple[str, str], float] = {}
        self._wider: Mapping[str, _Node] = wider._nodes if wider is not None else {}
        for context, actions in counts.following.items():
            shorter = "\n" + context.rsplit("\n", 1)[-1]
            for action, count in actions.items():
                self._nodes.setdefault(context, _Node()).count(action, count)
                # As Kneser and Ney do: how many longer contexts the action came in.
                self._nodes.setdefault(shorter, _Node()).count(action)
                self._nodes.setdefault(EVERYWHERE, _Node()).count(action, count)

    def probability(self, contexts: Contexts, action: str) -> float:
        """Probability of the action after `contexts`, those of a `Sequence`: shortest first.

        For an action nobody ever did, that of any such; 1 where nothing is known at all.
        """
        key = contexts[2], action  # the longest has the others in it
        p = self._known.get(key)
        if p is None:
            if len(self._known) >= _KNOWN_MOST:
                self._known.clear()
            p = self._known[key] = self._probability(contexts, action)
        return p

    def _probability(self, contexts: Contexts, action: str) -> float:
        everywhere = self._wider.get(EVERYWHERE)
        p = everywhere.draw(action, 1.0, DEFAULT) if everywhere is not None else 1.0
        for context in contexts:
            node = self._nodes.get(context)
            if node is None and context != EVERYWHERE:
                node = self._wider.get(context)
            if node is not None:
                p = node.draw(action, p, DEFAULT)
        return p


class Sequence:
    """Surprise of a principal's next action after its last two, by its own habits and its peers'.

    An interpolated back-off over contexts of two, one and no actions. What is done after two others is counted
    after the last of them alone, and among the peers, only when its count reaches a power of two: both are
    asked where the longer context knows no answer, and loops say little about that. A long routine makes anything else
    surprising, many different continuations make a further one unremarkable, and with no history at all
    what peers do decides; where they know nothing either, nothing is surprising. Steps that are mildly odd one
    by one add up in `recent`.

    Don't use it where order means nothing (many users' requests through one principal), or for names with an
    identifier in them.

    Args:
        params: Counting rules, shared by all principals.

    Example:
        >>> habits = Sequence()
        >>> for action in ["search", "read", "reply"] * 100:
        ...     _ = habits.learn_one(action, habits.score_one(action))
        >>> [round(habits.score_one(action), 2) for action in ("search", "reply", "delete")]
        [0.0, 3.02, 4.63]
        >>> round(habits.recent, 2), round(habits.score_run(4.63), 2)
        (0.0, 0.38)

    References:
        Teh (2006), A hierarchical Bayesian language model based on Pitman-Yor processes.
        Kneser and Ney (1995), Improved backing-off for m-gram language modeling.
    """

    __slots__ = ("_nodes", "_pairs", "contexts", "params", "recent")

    def __init__(self, params: SequenceParams = DEFAULT) -> None:
        self.params = params
        self.contexts: Contexts = _START
        self.recent = 0.0
        self._nodes: dict[str, _Only | _Node] = {}
        self._pairs = 0

    def reset(self) -> None:
        """Begin anew: the next action is the first of its session."""
        self.contexts = _START

    def probability(self, action: str, base: float = 1.0, contexts: Contexts | None = None) -> float:
        """Probability that the next action is this; `base` is that by the peers, 1 where nobody knows.

        `contexts` are those of another place than the present one, where several sessions go on at once.
        """
        nodes, params = self._nodes, self.params
        discount, concentration = params.discount, params.concentration
        for context in contexts or self.contexts:
            node = nodes.get(context)
            if node is None:
                continue
            if isinstance(node, tuple):  # `_Node.draw`, written out: it is asked for each event
                count = node[1]
                own = count - discount if node[0] == action else 0.0
                base = (own + (concentration + discount) * base) / (concentration + count)
            else:
                own = node.actions.get(action, discount) - discount
                base = (own + (concentration + discount * node.kinds) * base) / (concentration + node.total)
        return base

    def score_one(self, action: str, base: float = 1.0, contexts: Contexts | None = None) -> float:
        """-log10 of the action's probability; the rest as in `probability`."""
        return log10_surprise(self.probability(action, base, contexts)) + 0.0  # a certain one's is no negative zero

    def score_run(self, surprise: float, recent: float | None = None) -> float:
        """Mean surprise of the last actions (`recent`, if not this one's) and one more: shows a run of odd ones."""
        before = self.recent if recent is None else recent
        return before + (min(surprise, self.params.clip) - before) / self.params.run

    def learn_one(self, action: str, surprise: float, *, flagged: bool = False) -> str | None:
        """Take in the action and what `score_one` said of it.

        A flagged one is not counted as a habit, but it counts in the run, and the next action follows it.

        Returns:
            The context in which the principal's peers should count the action too, if they should.
        """
        self.recent = self.score_run(surprise)
        _, last, followed = self.contexts
        new = not flagged and self._count(action)
        self.contexts = _after(last, action)
        return followed if new else None

    def _count(self, action: str) -> bool:
        everywhere, last, both = self.contexts
        self._count_after(everywhere, action)
        count = self._count_after(both, action)
        if doubled := not count & (count - 1):
            self._count_after(last, action)
        if self._pairs > self.params.capacity:
            self._forget()
        return doubled

    def _count_after(self, context: str, action: str) -> int:
        node = self._nodes.pop(context, None)  # and put it last: the dict is kept in order of last use
        memory = self.params.memory
        if node is None:
            self._pairs += 1
            self._nodes[context] = intern(action), 1
            return 1
        if isinstance(node, tuple):
            if node[0] == action:
                count = node[1] + 1
                self._nodes[context] = node[0], (count if count < memory else (count + 1) // 2)
                return count
            node = _Node.of(node)
        self._nodes[context] = node
        count = node.actions.get(action, 0) + 1
        node.actions[action if count > 1 else intern(action)] = count
        node.total += 1
        if count == 1:
            node.kinds += 1
            self._pairs += 1
        if node.total >= memory:
            node.halve()
        return count

    def _forget(self) -> None:
        """Forget the rarest quarter, after two actions rather than after one; of the frequent, the oldest."""
        pairs = [
            (min(count if context.count("\n") > 1 else 4 * count, 8), context, action)
            for context, node in self._nodes.items()
            for action, count in ([node] if isinstance(node, tuple) else node.actions.items())
        ]
        pairs.sort(key=lambda pair: pair[0])
        for _, context, action in pairs[: len(pairs) // 4]:
            node = self._nodes[context]
            if isinstance(node, tuple):
                node = self._nodes[context] = _Node.of(node)
            del node.actions[action]
            if not node.actions and context != EVERYWHERE:
                del self._nodes[context]
        self._pairs = len(pairs) - len(pairs) // 4

    def snapshot(self) -> list[Any]:
        """[contexts of the next action, the run's mean, [[context, total, kinds, {action: count}], ...]]."""
        rows: list[list[Any]] = [
            [context, float(n[1]), 1.0, {n[0]: n[1]}]
            if isinstance(n, tuple)
            else [context, n.total, n.kinds, dict(n.actions)]
            for context, n in self._nodes.items()
        ]
        return [list(self.contexts), self.recent, rows]

    def restore(self, state: list[Any]) -> Self:
        """Take over a snapshot."""
        if len(state) != 3 or len(state[0]) != 3:
            raise ValueError("a sequence's state is 3 contexts, the run's mean, and what followed each context")
        contexts, self.recent, rows = state
        self.contexts = shared(contexts)
        self._nodes, self._pairs = {}, 0
        for context, total, kinds, actions in rows:
            self._nodes[intern(context)] = _restored(total, kinds, actions)
            self._pairs += len(actions)
        return self


def _restored(total: float, kinds: float, actions: Mapping[str, int]) -> _Only | _Node:
    if len(actions) == 1 and kinds == 1.0:
        ((action, count),) = actions.items()
        if total == count:
            return intern(action), count
    return _Node(total, kinds, {intern(action): count for action, count in actions.items()})
