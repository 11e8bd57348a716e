"""Sessions: what counts as flagged and when, thresholds at a share of benign sessions, ties, and bad labels."""

from collections.abc import Iterable, Iterator

import msgspec
import pytest

from detector.config import Config
from detector.detectors.base import sample
from detector.evaluate import in_memory
from detector.events import Actor, Approval, Event, Target
from detector.findings import Finding
from detector.sessions import Caught, SessionLabel, SessionResult, evaluate_sessions, read_labels

HONEST = "access"
NOTED = "noted"
GRAVE = "grave"


def act(session: str, place: int, what: str, minute: float = 0.0) -> Event:
    """An act of a session of its own agent: nothing, a SEV4 note (a sensitive read), or a SEV2 (unapproved)."""
    actor = Actor(id=f"agent-{session}", role="assistant", session=session)
    name = f"{session}-{place}"
    at = minute + place / 100
    if what == GRAVE:
        target = Target(uri=f"mail://inbox/{session}", type="mailbox")
        yes = Approval(required=True)
        return sample(at, id=name, actor=actor, kind="delete", action="mail.delete", target=target, approval=yes)
    sensitivity = "confidential" if what == NOTED else "internal"
    target = Target(uri=f"db://{session}/{place}", type="table", sensitivity=sensitivity)  # type: ignore[arg-type]
    return sample(at, id=name, actor=actor, action="read", target=target)


def session(name: str, *acts: str) -> list[Event]:
    return [act(name, place, what) for place, what in enumerate(acts)]


def label(name: str, *, attack: str | None = None, **fields: object) -> SessionLabel:
    spans = (f"{name}-{attack}",) if attack is not None else ()
    return msgspec.convert(
        {"session": name, "compromised": attack is not None, "attack_spans": spans} | fields, SessionLabel
    )


def measure(labels: Iterable[SessionLabel], *sessions: list[Event]) -> SessionResult:
    events = sorted((event for one in sessions for event in one), key=lambda event: event.time)
    return evaluate_sessions(in_memory("", "", events).envelopes, labels, Config())


def level(result: SessionResult, rule: str) -> Caught:
    return next(c for c in (result.alerts, *result.by_severity, *result.at_share) if c.rule.startswith(rule))


def crowd(quiet: int, noted: int, grave: int) -> Iterator[tuple[SessionLabel, list[Event]]]:
    """Benign sessions of which some are noted and some flagged gravely."""
    for n in range(quiet + noted + grave):
        what = HONEST if n < quiet else NOTED if n < quiet + noted else GRAVE
        yield label(f"b{n}"), session(f"b{n}", HONEST, what)


def test_an_attack_flagged_at_its_first_event_is_in_time() -> None:
    result = measure([label("s", attack="2")], session("s", HONEST, HONEST, GRAVE))
    assert (result.compromised, result.alerts.compromised, result.alerts.recall) == (1, 1, 1.0)
    assert (result.alerts.timed, result.alerts.in_time, result.alerts.mean_lead) == (1, 1, 0.0)


@pytest.mark.parametrize(("attack", "in_time", "lead"), [("0", 0, -2), ("2", 1, 0), ("3", 1, 1)])
def test_the_lead_counts_events_from_the_flag_to_the_attack(attack: str, in_time: int, lead: float) -> None:
    result = measure([label("s", attack=attack)], session("s", HONEST, HONEST, GRAVE, HONEST))
    for caught in (result.alerts, level(result, "SEV2")):
        assert (caught.in_time, caught.mean_lead, caught.median_lead) == (in_time, lead, lead)


def test_a_milder_threshold_flags_earlier() -> None:
    result = measure([label("s", attack="3")], session("s", NOTED, HONEST, GRAVE, HONEST))
    assert level(result, "SEV4").mean_lead == 3.0
    assert level(result, "SEV2").mean_lead == 1.0


def test_an_event_that_was_a_span_is_known_by_the_span() -> None:
    spans = SessionLabel("s", True, attack_spans=("1",))  # the events' ids are s-0 and s-1
    assert measure([spans], session("s", HONEST, GRAVE)).alerts.in_time == 1


def test_an_attack_that_is_not_in_the_log_is_caught_but_not_timed() -> None:
    caught = measure([label("s", attack="gone")], session("s", GRAVE)).alerts
    assert (caught.compromised, caught.timed, caught.mean_lead) == (1, 0, None)


def test_levels_nest_and_alerts_start_above_notes() -> None:
    labels, sessions = zip(*crowd(quiet=2, noted=1, grave=1), strict=True)
    result = measure(labels, *sessions)
    assert [level(result, name).benign for name in ("SEV4", "SEV3", "SEV2", "alert")] == [2, 1, 1, 1]
    assert level(result, "SEV4").benign_share == 0.5


def test_the_lowest_threshold_within_a_share_of_benign_is_taken() -> None:
    labels, sessions = zip(*crowd(quiet=93, noted=6, grave=1), strict=True)
    attacked = [label("m", attack="0"), label("w", attack="0"), label("missed", attack="0")]
    result = measure(
        [*labels, *attacked], *sessions, session("m", GRAVE), session("w", NOTED), session("missed", HONEST)
    )
    one, five, ten = result.at_share
    assert (one.benign, one.compromised, one.severity) == (1, 1, "SEV2")
    assert (five.benign, five.compromised) == (1, 1), "the six noted go together, and are too many"
    assert (ten.benign, ten.compromised, ten.severity) == (7, 2, "SEV4")
    assert ten.recall == pytest.approx(2 / 3, abs=1e-4)
    assert ten.precision == pytest.approx(2 / 9, abs=1e-4)


def test_if_the_first_tie_is_too_large_nothing_is_flagged() -> None:
    labels, sessions = zip(*crowd(quiet=8, noted=0, grave=2), strict=True)
    five = measure([*labels, label("m", attack="0")], *sessions, session("m", GRAVE)).at_share[1]
    assert (five.severity, five.compromised, five.benign, five.precision) == (None, 0, 0, None)
    assert five.recall == 0.0


def test_the_area_counts_ties_half_and_sessions_without_findings_tie() -> None:
    labels, sessions = zip(*crowd(quiet=1, noted=1, grave=0), strict=True)
    tied = measure([*labels, label("m", attack="0")], *sessions, session("m", HONEST))
    assert tied.area == pytest.approx(0.25)  # half a win over the quiet one, none over the noted one
    above = measure([*labels, label("m", attack="0")], *sessions, session("m", GRAVE))
    assert above.area == 1.0
    assert measure(labels, *sessions).area is None


def test_history_is_learnt_but_not_measured() -> None:
    labels = [label("h", phase="baseline"), label("t", phase="test"), label("x", attack="0", phase="baseline")]
    result = measure(labels, session("h", GRAVE), session("t", HONEST), session("x", GRAVE))
    assert (result.benign, result.compromised, result.alerts.benign, result.alerts.compromised) == (1, 0, 0, 0)


def test_what_was_injected_in_vain_is_benign_and_told_apart() -> None:
    labels = [label("i", injected=True), label("b")]
    result = measure(labels, session("i", GRAVE), session("b", GRAVE))
    assert (result.benign, result.injected, result.alerts.benign, result.alerts.injected) == (2, 1, 2, 1)


def test_sessions_without_events_count_as_missed_and_those_without_a_label_are_left_out() -> None:
    result = measure([label("gone", attack="0")], session("stray", GRAVE))
    assert (result.compromised, result.unseen, result.unlabelled) == (1, 1, 1)
    assert (result.alerts.recall, result.alerts.benign) == (0.0, 0)


def test_findings_can_be_left_out() -> None:
    def counts(finding: Finding) -> bool:
        return finding.detector != "unapproved_action"

    envelopes = in_memory("", "", session("s", GRAVE)).envelopes
    result = evaluate_sessions(envelopes, [label("s", attack="0")], Config(), counts)
    assert level(result, "SEV4").compromised == 0


def test_a_result_is_written_and_read_back() -> None:
    result = measure([label("s", attack="0")], session("s", GRAVE))
    assert msgspec.json.decode(msgspec.json.encode(result), type=SessionResult) == result


def test_labels_are_read_from_lines() -> None:
    lines = [b'{"session": "a", "compromised": true, "agent": "x", "attack_spans": ["1"]}\n', b"\n"]
    assert read_labels(lines) == [SessionLabel("a", True, attack_spans=("1",))]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([b'{"session": "a"}'], "line 1: no label"),
        ([b'{"session": "a", "compromised": false}', b"what"], "line 2: no label"),
        ([b'{"session": "a", "compromised": false}'] * 2, "line 2: the session a has a label already"),
    ],
)
def test_bad_labels_are_named_by_line(lines: list[bytes], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_labels(lines)
