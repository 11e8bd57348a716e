"""Approvals: who may say yes, which yes counts for an act, and what it lacks otherwise."""

import msgspec
import pytest

from detector.approvals import CAPACITY, VALID_SECONDS, ApprovalLedger, may_order, stopped_after
from detector.events import Actor, Approval, Event, Target
from tests.support.events import START, event, human

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
        told("approve", Actor(id="agent-1")),
        told("approve", Actor(id="agent-2")),
        told("approve", Actor(id="agent-1", kind="service")),
        told("approve", id_=None),
        told("approve", id_=""),
        told("stop"),
        event(kind="control", action="approve", actor=ALICE, target=AGENT),
    ],
    ids=["itself", "another agent", "itself as a service", "no id", "empty id", "no answer", "no approval"],
)
def test_what_is_not_heard(control: Event) -> None:
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


@pytest.mark.parametrize(
    ("actor", "may"),
    [
        (ALICE, True),
        (Actor(id="board", kind="service"), True),
        (Actor(id="agent-2"), False),
        (Actor(id="agent-1"), False),
        (Actor(id="agent-1", kind="human"), False),
    ],
)
def test_people_and_services_may_order_an_agent_and_nobody_himself(actor: Actor, may: bool) -> None:
    assert may_order(told("stop", actor)) is may


@pytest.mark.parametrize(
    ("action", "by", "before", "after"),
    [
        ("stop", ALICE, False, True),
        ("stop", Actor(id="watchdog"), False, True),
        ("resume", ALICE, True, False),
        ("resume", Actor(id="watchdog"), True, True),
        ("resume", Actor(id="agent-1"), True, True),
        ("resume", ALICE, False, False),
        ("approve", ALICE, True, True),
        ("approve", ALICE, False, False),
    ],
)
def test_anybody_may_stop_an_agent_and_only_who_may_order_it_may_resume_it(
    action: str, by: Actor, before: bool, after: bool
) -> None:
    assert stopped_after(told(action, by), before) is after


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
