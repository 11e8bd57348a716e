"""Strange uses of identities: what is news once, what becomes a habit, and credentials used from elsewhere."""

from collections.abc import Sequence
from typing import Any

import pytest

from detector.detectors import build
from detector.detectors.base import sample
from detector.detectors.identity_misuse import IdentityMisuse
from detector.detectors.signs import client, network
from detector.events import Actor, Envelope, Event, Target
from detector.findings import Finding
from detector.scoring import Scoring

DAY = 1440.0
HOME, AWAY = "52.1.2.3", "185.4.5.6"


def use(minute: float, actor: Actor | None = None, **attributes: Any) -> Event:
    fields = {name: attributes.pop(name) for name in ("kind", "outcome", "action", "id") if name in attributes}
    target = Target(uri="k8s://prod/web/pods/a")
    return sample(minute, actor=actor, target=target, attributes=attributes, **fields)


def run(events: Sequence[Event]) -> list[tuple[Finding, ...]]:
    scoring = Scoring([detector for detector in build() if isinstance(detector, IdentityMisuse)])
    scoring.open(("t", 0))
    found = []
    for offset, event in enumerate(events):
        scored = scoring.step(Envelope(event, "t", 0, offset, event.time.timestamp(), b""))
        assert scored.verdict == "scored", scored
        found.append(scored.findings)
    return found


def told(events: Sequence[Event]) -> list[str]:
    return [f"{each[0].rule} {each[0].severity}" if each else "" for each in run(events)]


def steady(hours: int, **attributes: Any) -> list[Event]:
    return [use(60.0 * hour, source_ip=HOME, user_agent="Boto3/1.34", **attributes) for hour in range(hours)]


def test_a_habit_is_told_on_three_days_and_then_no_more() -> None:
    days = [use(DAY * day, remote_command="exec", action="create pods/exec") for day in range(5)]
    assert told(days) == ["entered SEV3"] * 3 + ["", ""]


def test_a_habit_that_rests_for_two_months_is_news_again() -> None:
    alone = Actor(id="agent-1")
    days = [use(DAY * day, alone, remote_command="exec") for day in (0, 1, 2, 3, 70)]
    assert told(days)[-2:] == ["", "entered SEV3"]


def test_what_the_role_does_by_habit_is_no_news_of_its_new_member() -> None:
    def entered(minute: float, name: str, role: str) -> Event:
        return use(minute, Actor(id=name, role=role), remote_command="exec", id=f"{name} {minute}")

    old = [entered(DAY * day, "old", "operator") for day in range(4)]
    assert told([*old, entered(DAY * 5, "new", "operator")])[-1] == ""
    assert told([*old, entered(DAY * 5, "new", "clerk")])[-1] == "entered SEV3"
    nobodys = [entered(DAY * day, "old", "") for day in range(4)]
    assert told([*nobodys, entered(DAY * 5, "new", "")])[-1] == "entered SEV3"


def test_a_flood_of_a_day_is_told_ten_times_and_at_its_powers() -> None:
    flood = [use(0.01 * i, anonymous=True) for i in range(120)]
    assert [i + 1 for i, each in enumerate(told(flood)) if each] == [*range(1, 11), 100]


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"kind": "auth", "root": True, "outcome": "failure"}, "root_used SEV3"),
        ({"root": True, "outcome": "denied"}, ""),
        ({"kind": "auth", "unusual": "New IP", "action": "user.session.access_admin_app"}, "unusual_sign_on SEV3"),
        ({"kind": "auth", "risk": "high"}, "unusual_sign_on SEV3"),
        ({"kind": "auth", "unusual": "New IP, New Device", "outcome": "denied"}, "unusual_sign_on SEV4"),
        ({"kind": "auth", "risk": "low"}, ""),
        ({"alarm": True, "outcome": "denied"}, ""),
        ({"impersonated_groups": ["developers"]}, ""),
        ({"user_agent": "aws-cli/2 exe/x86_64.kali.2024"}, "out_of_place SEV2"),
        ({"user_agent": ["no", "text"], "impersonated_groups": [{}], "risk": [], "unusual": 7}, ""),
    ],
)
def test_each_sign_with_its_twin(attributes: dict[str, Any], expected: str) -> None:
    assert told([use(0, **attributes)]) == [expected]


def test_stolen_credentials_are_known_by_their_network_and_worse_by_a_new_client() -> None:
    same, other = use(13_000, source_ip=AWAY, user_agent="Boto3/1.34"), use(13_000, source_ip=AWAY, user_agent="curl/8")
    assert told([*steady(200), same])[-1] == "new_network SEV3"
    assert told([*steady(200), other])[-1] == "new_network SEV2"
    assert told([*steady(40), other])[-1] == ""
    (finding,) = run([*steady(200), other])[-1]
    assert "185.4.0.0/16" in finding.reason
    assert "from 1 network" in finding.reason
    assert finding.p_value is not None
    assert finding.p_value < 0.01


def test_a_network_that_was_told_on_three_days_is_known() -> None:
    moved = [use(13_000 + DAY * day, source_ip=AWAY, user_agent="Boto3/1.34") for day in range(5)]
    assert told([*steady(200), *moved])[-5:] == ["new_network SEV3"] * 3 + ["", ""]


def test_where_its_peers_are_is_no_strange_place() -> None:
    there = [use(60.0 * h, Actor(id="agent-2"), source_ip=AWAY, id=f"o-{h}") for h in range(200)]
    both = sorted([*steady(200), *there], key=lambda event: event.time)
    assert told([*both, use(13_000, source_ip=AWAY, user_agent="curl/8")])[-1] == ""


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"source_ip": HOME}, "52.1.0.0/16"),
        ({"source_ip": "2600:1f18:1::1"}, "2600:1f18::/32"),
        ({"source_ip": "10.2.3.4"}, None),
        ({"source_ip": "s3.amazonaws.com"}, None),
        ({"source_ip": HOME, "invoked_by": "cloudformation.amazonaws.com"}, None),
        ({"source_ip": 7}, None),
        ({}, None),
    ],
)
def test_the_network_of_a_machine(attributes: dict[str, Any], expected: str | None) -> None:
    assert network(use(0, **attributes)) == expected


def test_people_move_about() -> None:
    assert network(use(0, Actor(id="ann", kind="human"), source_ip=HOME)) is None


def test_a_client_is_named_without_its_version() -> None:
    assert client(use(0, user_agent="kubectl/v1.31.0 (linux/amd64)")) == "kubectl"
    assert client(use(0)) == ""
