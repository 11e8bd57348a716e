"""Approvals: who may say yes, which yes counts for an act, and what it lacks otherwise."""

import msgspec
import pytest
from pydantic import ValidationError

from detector.approvals import CAPACITY, VALID_SECONDS, ApprovalLedger, ControlSettings, Issuer, stopped_after
from detector.detectors.stop_violation import StopViolation
from detector.detectors.unapproved_action import UnapprovedAction
from detector.events import Actor, Approval, Event, Target
from detector.findings import Finding
from detector.scoring import Scoring
from tests.support.events import PARTITION, START, envelope, event, human

NOW = START.timestamp()
AGENT = Target(uri="agent-1", type="agent")
ASKED = Approval(required=True, id="A-1")
ALICE = human("alice")


def told(action: str, by: Actor = ALICE, *, id_: str | None = "A-1") -> Event:
    return event(kind="control", action=action, actor=by, target=AGENT, approval=Approval(id=id_))


def ledger_of(*controls: Event) -> ApprovalLedger:
    ledger = ApprovalLedger()
    for control in controls:
        ledger.record(control, control.time.timestamp())
    return ledger


def act(approval: Approval | None = ASKED, actor: Actor | None = None) -> Event:
    return event(kind="publish", approval=approval, actor=actor or Actor(id="agent-1"))


@pytest.mark.parametrize(("action", "answer"), [("approve", "approved"), ("confirm", "approved"), ("deny", "denied")])
def test_a_persons_word_counts(action: str, answer: str) -> None:
    assert ledger_of(told(action)).answer(act(), NOW, required=True) == answer


def test_a_services_word_counts() -> None:
    ledger = ledger_of(told("approve", Actor(id="change-board", kind="service")))
    assert ledger.answer(act(), NOW, required=True) == "approved"


def test_the_latest_word_counts() -> None:
    assert ledger_of(told("approve"), told("deny")).answer(act(), NOW, required=True) == "denied"
    assert ledger_of(told("deny"), told("approve")).answer(act(), NOW, required=True) == "approved"


@pytest.mark.parametrize(
    "control",
    [
        told("approve", id_=None),
        told("approve", id_=""),
        told("stop"),
        event(kind="control", action="approve", actor=ALICE, target=AGENT),
    ],
    ids=["no id", "empty id", "no answer", "no approval"],
)
def test_what_is_no_answer(control: Event) -> None:
    ledger = ApprovalLedger()
    assert not ledger.record(control, 0.0)
    assert ledger.rulings == {}
    assert ledger.answer(act(), NOW, required=True) == "unknown_id"


def test_a_yes_to_one_request_is_none_to_another() -> None:
    other = act(Approval(required=True, id="A-2"))
    assert ledger_of(told("approve")).answer(other, NOW, required=True) == "unknown_id"


@pytest.mark.parametrize("approval", [None, Approval(required=True), Approval(id="", by="")])
def test_an_act_without_a_claim_lacks_a_yes_only_where_one_is_needed(approval: Approval | None) -> None:
    ledger = ledger_of(told("approve"))
    assert ledger.answer(act(approval), NOW, required=True) == "missing"
    assert ledger.answer(act(approval), NOW, required=False) == "not_needed"


def test_a_person_may_name_the_approver_inline_and_an_agent_may_not() -> None:
    claim = Approval(required=True, id="A-9", by="alice")
    assert ApprovalLedger().answer(act(claim, human("bob")), NOW, required=True) == "approved"
    assert ApprovalLedger().answer(act(claim), NOW, required=True) == "unknown_id"


def test_nobody_approves_himself() -> None:
    for actor in (human("bob"), Actor(id="bob")):
        claim = Approval(required=True, id="A-1", by="bob")
        assert ledger_of(told("approve")).answer(act(claim, actor), NOW, required=True) == "self_approved"


def test_a_denial_weighs_more_than_an_inline_claim() -> None:
    claim = Approval(required=True, id="A-1", by="alice")
    assert ledger_of(told("deny")).answer(act(claim, human("bob")), NOW, required=True) == "denied"


@pytest.mark.parametrize(("after", "answer"), [(0.0, "approved"), (VALID_SECONDS, "approved"), (86401.0, "outworn")])
def test_a_yes_holds_for_a_day(after: float, answer: str) -> None:
    assert ledger_of(told("approve")).answer(act(), NOW + after, required=True) == answer


def test_a_yes_that_was_used_for_one_kind_of_act_is_none_for_another() -> None:
    ledger = ledger_of(told("approve"))
    ledger.use(act())
    ledger.use(event(kind="delete", approval=ASKED))
    assert ledger.answer(act(), NOW, required=True) == "approved"
    assert ledger.answer(event(kind="delete", approval=ASKED), NOW, required=True) == "outworn"


def test_a_no_is_not_used_up() -> None:
    ledger = ledger_of(told("deny"))
    ledger.use(act())
    assert ledger.answer(event(kind="delete", approval=ASKED), NOW, required=True) == "denied"


WATCHDOG = Actor(id="watchdog")
SELF = Actor(id="agent-1")
POSING = Actor(id="agent-1", kind="human")
BOARD = Actor(id="change-board", kind="service", role="approvals")


@pytest.mark.parametrize("action", ["approve", "confirm", "deny", "resume"])
@pytest.mark.parametrize(
    ("actor", "heard"), [(ALICE, True), (BOARD, True), (WATCHDOG, False), (SELF, False), (POSING, False)]
)
def test_people_and_services_may_order_an_agent_and_nobody_himself(action: str, actor: Actor, heard: bool) -> None:
    assert ControlSettings().hears(told(action, actor)) is heard


@pytest.mark.parametrize("actor", [ALICE, WATCHDOG, SELF])
def test_a_stop_may_come_from_anybody_where_nobody_is_named(actor: Actor) -> None:
    assert ControlSettings().hears(told("stop", actor))


NAMED = ControlSettings(
    issuers=(
        Issuer(ids=("alice", "*@oncall.example")),
        Issuer(roles=("approvals",), kinds=("service",), orders=("approve", "deny")),
        Issuer(ids=("watch*",), kinds=("agent",), orders=("stop",), agents=("agent-*",)),
        Issuer(ids=("agent-1",), kinds=("agent", "human")),
    )
)


@pytest.mark.parametrize(
    ("action", "actor", "heard"),
    [
        ("approve", ALICE, True),
        ("resume", human("bo@oncall.example"), True),
        ("approve", human("mallory"), False),
        ("stop", human("mallory"), False),
        ("approve", Actor(id="alice", kind="agent"), False),
        ("approve", BOARD, True),
        ("resume", BOARD, False),
        ("approve", human("eve", role="approvals"), False),
        ("stop", WATCHDOG, True),
        ("resume", WATCHDOG, False),
        ("approve", SELF, False),
        ("stop", POSING, False),
    ],
)
def test_where_issuers_are_named_only_they_are_heard_and_nobody_in_its_own_name(
    action: str, actor: Actor, heard: bool
) -> None:
    assert NAMED.hears(told(action, actor)) is heard


def test_an_issuer_orders_only_the_agents_that_are_its_own() -> None:
    settings = ControlSettings(issuers=(Issuer(ids=("alice",), agents=("mail-*",)),))
    assert not settings.hears(told("approve"))
    assert settings.hears(event(kind="control", action="approve", actor=ALICE, target=Target(uri="mail-2")))


def test_an_issuer_that_is_everybody_is_refused() -> None:
    with pytest.raises(ValidationError, match="would let everybody give orders"):
        Issuer(kinds=("human",))


@pytest.mark.parametrize(
    ("action", "heard", "before", "after"),
    [
        ("stop", True, False, True),
        ("stop", False, False, False),
        ("resume", True, True, False),
        ("resume", False, True, True),
        ("resume", True, False, False),
        ("approve", True, True, True),
        ("approve", True, False, False),
    ],
)
def test_an_order_that_is_heard_stops_and_resumes(action: str, heard: bool, before: bool, after: bool) -> None:
    assert stopped_after(told(action), before, heard=heard) is after


def scored(settings: ControlSettings, *events: Event) -> list[Finding]:
    stage = Scoring(
        [UnapprovedAction(UnapprovedAction.Settings()), StopViolation(StopViolation.Settings())], control=settings
    )
    stage.open(PARTITION)
    return [finding for i, item in enumerate(events) for finding in stage.step(envelope(item, i)).findings]


def order(seconds: float, action: str, actor: Actor) -> Event:
    return event(seconds, kind="control", action=action, actor=actor, target=AGENT, approval=Approval(id="A-1"))


@pytest.mark.parametrize(
    ("settings", "issuer", "severity"),
    [
        (ControlSettings(), SELF, "SEV2"),
        (ControlSettings(), POSING, "SEV2"),
        (ControlSettings(), WATCHDOG, "SEV2"),
        (NAMED, human("mallory"), "SEV3"),
    ],
    ids=["itself", "itself as a person", "another agent", "a person who is not named"],
)
def test_a_forged_yes_is_told_and_counts_for_nothing(settings: ControlSettings, issuer: Actor, severity: str) -> None:
    post = event(60, kind="publish", action="forum_post", approval=ASKED)
    forged, unapproved = scored(settings, order(0, "approve", issuer), post)
    assert (forged.detector, forged.rule, forged.severity) == ("stop_violation", "forged_order", severity)
    assert forged.principal == "agent-1"
    assert forged.evidence["issuer"] == issuer.id
    assert unapproved.rule == "unknown_id"


@pytest.mark.parametrize(("by", "rules"), [("alice", []), ("bo@oncall.example", []), ("mallory", ["unknown_id"])])
def test_where_issuers_are_named_an_inline_approver_must_be_one(by: str, rules: list[str]) -> None:
    claim = Approval(required=True, by=by)
    post = event(0, kind="publish", action="forum_post", approval=claim, actor=human("bob"))
    assert [finding.rule for finding in scored(NAMED, post)] == rules
    assert scored(ControlSettings(), post) == []


def test_a_forged_resume_ends_no_stop_and_a_forged_stop_is_none() -> None:
    delete = event(120, kind="delete", action="mail.delete")
    stopped = scored(NAMED, order(0, "stop", ALICE), order(60, "resume", SELF), delete)
    assert [finding.rule for finding in stopped] == ["forged_order", "after_stop"]
    free = scored(NAMED, order(0, "stop", human("mallory")), delete)
    assert [finding.rule for finding in free] == ["forged_order"]


def test_forged_orders_are_told_at_the_first_and_the_tenth_and_by_issuer() -> None:
    orders = [order(i, "approve", SELF) for i in range(12)] + [order(20, "approve", WATCHDOG)]
    assert [finding.evidence["count"] for finding in scored(ControlSettings(), *orders)] == [1, 10, 1]


def test_the_latest_answers_are_kept() -> None:
    ledger = ledger_of(*(told("approve", id_=f"A-{i}") for i in range(CAPACITY + 10)))
    assert len(ledger.rulings) == CAPACITY
    assert "A-9" not in ledger.rulings
    assert {"A-10", f"A-{CAPACITY + 9}"} <= set(ledger.rulings)


def test_an_answer_given_again_is_young_again() -> None:
    filling = [told("approve", id_=f"A-{i}") for i in range(CAPACITY)]
    ledger = ledger_of(*filling, told("deny", id_="A-0"), told("approve", id_="A-new"))
    assert "A-0" in ledger.rulings
    assert "A-1" not in ledger.rulings


def test_what_was_recorded_survives_being_saved() -> None:
    ledger = ledger_of(told("approve"), told("deny", id_="A-2"))
    saved = msgspec.msgpack.encode(ledger)
    assert msgspec.msgpack.decode(saved, type=ApprovalLedger) == ledger
