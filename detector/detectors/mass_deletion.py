"""Deleting much, fast, a large share of what there was, or one thing that holds many."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final

import msgspec
from pydantic import Field

from detector.detectors.base import ATLAS, ATTACK, OWASP_AGENTIC, Context, Detector, DetectorSettings, Example, sample
from detector.detectors.familiar import Familiar, days_before, kin_of, others_flag
from detector.detectors.holdings import Loss, act_of, lost
from detector.detectors.rating import rated, told_of
from detector.events import Actor, Approval, Event, Target
from detector.findings import Finding
from detector.severity import Severity
from detector.suppressions import silent_from
from detector.wording import duration, number, plural, probability
from models.base import log10_surprise
from models.sums import DecayedSums, Judgement, RateParams

CHANNEL: Final = "records deleted"
DAY: Final = 86400.0
CONTAINERS_MOST: Final = 32


class Container(msgspec.Struct, array_like=True):
    """What was removed from one container since a time (unix seconds), and the most it was seen to hold."""

    since: float
    removed: float
    size: float


class Deletions:
    """A principal's deletions: their rate, by container, what it destroys by habit, and the last report."""

    __slots__ = ("containers", "familiar", "rate", "reported_at", "reported_total")

    def __init__(self, params: RateParams) -> None:
        self.rate = DecayedSums(params)
        self.containers: dict[str, Container] = {}
        self.familiar = Familiar()
        self.reported_at = float("-inf")
        self.reported_total = 0.0


class MassDeletion(Detector[Deletions]):
    """Records removed per principal: an improbable rate, many without a yes, or much of a container.

    And single acts that count as many: a bucket, a snapshot, a key gone. Who destroys such things on several
    days does it by habit, and is not told again; the end of a key, a backup or an audit log is noted at any rate.
    """

    name = "mass_deletion"
    rules: ClassVar[Mapping[str, str]] = {
        "share_of_container": "deleted most of a container without a yes",
        "unconfirmed": "deleted many records without the confirmation it needed",
        "rate": "deletes far more than it ever does",
        "irreversible": "destroyed something that holds much, or brings data back",
    }
    runbook = "Stop the agent, restore from the trash or a backup before its retention ends."
    tags = (f"{OWASP_AGENTIC}:ASI02", f"{ATLAS}:AML.T0101", f"{ATTACK}:T1485", f"{ATTACK}:T1070.008")
    kinds = frozenset({"delete"})
    channels = ("mass_deletion",)

    class Settings(DetectorSettings):
        """Thresholds of `mass_deletion`."""

        p: float = Field(1e-6, gt=0, lt=1, description="Fires below this tail probability of the rate.")
        min_records: int = Field(50, ge=1, description="Sums below this many records never fire.")
        unconfirmed_records: int = Field(
            50, ge=1, description="Records deleted within about a minute without a yes that was needed."
        )
        share: float = Field(
            0.5, gt=0, le=1, description="Share of a container removed within a day that fires without a yes."
        )
        habit_days: int = Field(
            3, ge=1, description="Days with like destruction after which it counts as a habit and is not told."
        )
        repeat_after: float = Field(
            3600.0, gt=0, description="Seconds before it is reported again (or at ten times the sum)."
        )

    settings: Settings

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.params = RateParams()

    def new_state(self) -> Deletions:
        """Nothing deleted yet."""
        return Deletions(self.params)

    def detect(self, event: Event, state: Deletions, context: Context) -> Iterator[Finding]:
        """One finding by the strongest rule that fires."""
        if event.outcome != "success":
            return
        count = float(max(event.records, 1))
        prior = context.priors.rate(context.principal.role, CHANNEL, len(self.params.half_lives))
        judged = state.rate.judge(count, context.now, prior)
        container = self._container(event, state, context.now)
        rule = self._rule(container, judged, context)
        total = container.removed if rule == "share_of_container" and container is not None else judged.total
        if rule is not None and self._is_news(state, total, context.now):
            yield self._finding(event, context, rule, judged, container)
        elif (gone := lost(event)) is not None:
            yield from self._irreversible(event, state, context, gone)

    def _irreversible(self, event: Event, state: Deletions, context: Context, gone: Loss) -> Iterator[Finding]:
        """One act that destroyed what holds much, unless it is habit."""
        key, least = act_of(event), self.settings.habit_days
        standing = state.familiar.standing(key, context, least, kin_of(event.target))
        severity = rated(standing, event, context, guarded=gone.guarded)
        if severity is None or not state.familiar.is_news(key, context):
            return
        approved = context.answer == "approved"
        before = state.familiar.known(key, context.now)
        uri = event.target.uri if event.target else "an unnamed one"
        did = f"{gone.undone or 'destroyed'} a {gone.noun}"
        lost_with = f"and with it {gone.held}{', which can still be called back' if gone.undone else ''}"
        yield self.finding(
            event,
            context,
            "irreversible",
            severity,
            f"{context.principal.id} {did}, {uri} ({key}), {lost_with}; it had done so "
            f"{days_before(before)}, {least} make a habit{told_of(standing)}{'; approved' if approved else ''}",
            score=1.0 / (1.0 + before),
            entities=(f"resource:{event.target.uri}",) if event.target else (),
            evidence={"seen": 1.0, "noun": gone.noun, "days_before": before, "standing": standing},
        )

    @staticmethod
    def _container(event: Event, state: Deletions, now: float) -> Container | None:
        """What the container has lost within a day, this event counted; None if its size is not known."""
        if event.target is None:
            return None
        before = state.containers.get(event.target.uri)
        if before is None or now - before.since >= DAY:
            before = Container(now, 0.0, 0.0)
        size = max(before.size, float(event.target.container_size or 0))
        return Container(before.since, before.removed + max(event.records, 1), size) if size else None

    def _rule(self, container: Container | None, judged: Judgement, context: Context) -> str | None:
        approved = context.answer == "approved"
        if (
            container is not None
            and not approved
            and container.removed >= max(self.settings.min_records, self.settings.share * container.size)
        ):
            return "share_of_container"
        if context.answer not in {"approved", "not_needed"} and (judged.total >= self.settings.unconfirmed_records):
            return "unconfirmed"
        score = log10_surprise(judged.p_value) if judged.total >= self.settings.min_records and not approved else 0.0
        if context.test(self.name, score, self.settings.p):
            return "rate"
        return None

    def _is_news(self, state: Deletions, total: float, now: float) -> bool:
        return now - state.reported_at >= self.settings.repeat_after or total >= 10.0 * state.reported_total

    def _finding(
        self, event: Event, context: Context, rule: str, judged: Judgement, container: Container | None
    ) -> Finding:
        target = event.target
        by_share = rule == "share_of_container" and container is not None
        total = container.removed if by_share and container is not None else judged.total
        within = "a day" if by_share else f"about {duration(judged.half_life)}"
        size = container.size if container is not None else None
        share = f", {min(1.0, total / size):.0%} of the {number(size)} there were," if size else ""
        lacks = "" if context.answer in {"approved", "not_needed"} else f"; approval: {context.answer}"
        severity: Severity = "SEV3" if rule == "rate" else "SEV2"
        statistical = rule == "rate"
        whose = "its own" if judged.blocks >= 1 else "its peers'"
        expected = f"{whose} usual peak is {number(judged.expected)}"
        reason = (
            f"{context.principal.id} deleted {plural(round(total), 'record')}{share} within {within}"
            f"{' from ' + target.uri if target else ''}; {expected}"
            f"{'; ' + probability(judged.p_value) if statistical else ''}{lacks}"
        )
        return self.finding(
            event,
            context,
            rule,
            severity,
            reason,
            score=log10_surprise(judged.p_value) if statistical else min(1.0, total / (size or total)),
            p_value=judged.p_value if statistical else None,
            entities=(f"resource:{target.uri}",) if target is not None else (),
            evidence={
                "seen": round(total, 1),
                "expected": round(judged.expected, 1),
                "half_life_seconds": judged.half_life,
                "container_size": size,
                "answer": context.answer,
            },
        )

    def learn(self, event: Event, state: Deletions, context: Context, found: Sequence[Finding]) -> None:
        """Add the deletions; flagged ones count in the sums but not in the baseline, approved ones in neither."""
        if event.outcome != "success" or context.answer == "approved":
            return
        prior = context.priors.rate(context.principal.role, CHANNEL, len(self.params.half_lives))
        container = self._container(event, state, context.now)
        if container is not None and event.target is not None:
            state.containers.pop(event.target.uri, None)
            state.containers[event.target.uri] = container
            if len(state.containers) > CONTAINERS_MOST:
                del state.containers[next(iter(state.containers))]
        amount = float(max(event.records, 1))
        for i, peak in state.rate.learn_one(amount, context.now, prior, flagged=context.suspect):
            context.group.add_peak(CHANNEL, i, peak)
        if lost(event) is not None and not others_flag(self.name, found):
            state.familiar.learn(act_of(event), context, self.settings.habit_days, kin_of(event.target))
        for finding in found:
            if finding.detector == self.name and finding.rule != "irreversible":
                state.reported_at = silent_from(finding, context.now, self.settings.repeat_after)
                state.reported_total = finding.evidence["seen"]

    def dump(self, state: Deletions) -> Any:
        """[rate, time and sum of the last report, containers, habits]."""
        reported_at = None if state.reported_at < 0 else state.reported_at
        plain = msgspec.to_builtins
        return [
            state.rate.snapshot(), reported_at, state.reported_total, plain(state.containers), plain(state.familiar)
        ]  # fmt: skip

    def load(self, data: Any) -> Deletions:
        """Deletions from their plain data."""
        rate, reported_at, reported_total, containers, *later = data
        state = Deletions(self.params)
        if later:  # states saved before deletions were known by habit hold none
            state.familiar = msgspec.convert(later[0], Familiar)
        state.containers = msgspec.convert(containers, dict[str, Container])
        state.rate.restore(rate)
        state.reported_at = float("-inf") if reported_at is None else reported_at
        state.reported_total = reported_total
        return state

    @classmethod
    def examples(cls) -> Sequence[Example]:
        """An emptied mailbox, an approved purge, a few mails, a rate never seen."""

        def delete(minute: float, records: int, **fields: Any) -> Event:
            target = Target(uri="mail://inbox/alice", container_size=fields.pop("of", None))
            return sample(minute, kind="delete", action="delete_mail", records=records, target=target, **fields)

        def other(minute: float, records: int, of: int) -> Event:
            target = Target(uri="mail://other/alice", container_size=of)
            return sample(minute, kind="delete", action="delete_mail", records=records, target=target)

        def destroy(minute: float, action: str, name: str = "nightly-7", **fields: Any) -> Event:
            return sample(minute, kind="delete", action=action, records=1, target=Target(uri=f"aws://{name}"), **fields)

        nightly = [destroy(1440.0 * day, "rds:DeleteDBSnapshot") for day in range(6)]
        volumes = [destroy(1440.0 * day, "ec2:DeleteVolume", f"vol-{day}") for day in range(6)]
        controller = Actor(id="namespace-controller", kind="service")
        asked = Approval(required=True)
        days = [delete(60.0 * h, 2 + h % 3) for h in range(72)]
        return [
            Example("most of a mailbox", [delete(0, 900, of=1500)], ("share_of_container",)),
            Example("120 mails without the confirmation", [delete(0, 120, approval=asked)], ("unconfirmed",)),
            Example("4,000 after days of three", [*days, delete(4330, 4000)], ("rate",)),
            Example(
                "a mailbox emptied one by one",
                [delete(m, 1, of=100 - m) for m in range(50)],
                ("share_of_container",),
            ),
            Example(
                "a little of a large table, then of a small one",
                [delete(0, 60, of=1_000_000), other(1, 1, of=100)],
                (),
            ),
            Example("three mails of a small folder", [delete(0, 3, of=4)], ()),
            Example("a snapshot", [destroy(0, "rds:DeleteDBSnapshot")], ("irreversible",)),
            Example(
                "a bucket, by the words of another cloud", [destroy(0, "storage.buckets.delete")], ("irreversible",)
            ),
            Example("all pods of a namespace", [destroy(0, "deletecollection pods")], ("irreversible",)),
            Example(
                "a key after nights of snapshots",
                [*nightly, destroy(9000, "kms:ScheduleKeyDeletion")],
                ("irreversible",),
            ),
            Example("a snapshot that could not be deleted", [destroy(0, "rds:DeleteDBSnapshot", outcome="denied")], ()),
            Example("a volume each night", volumes, ()),
            Example("a snapshot each night is noted", nightly, ("irreversible",)),
            Example("one object", [destroy(0, "s3:DeleteObject")], ()),
            Example("what a controller clears away", [destroy(0, "delete namespaces", actor=controller)], ()),
            Example("as many as on other days", [*days, delete(4330, 3)], ()),
        ]
