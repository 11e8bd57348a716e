"""Strange uses of identities: what is news once, what becomes a habit, and credentials used from elsewhere."""

from functools import partial
from typing import Any

import pytest

from detector.detectors.base import sample
from detector.detectors.signs import client, network
from detector.events import Actor, ActorKind, Event, Target
from tests.support import detections

DAY = 1440.0
HOME, AWAY = "52.1.2.3", "185.4.5.6"

run = partial(detections.run, "identity_misuse")
told = partial(detections.told, "identity_misuse")


def use(minute: float, actor: Actor | None = None, **attributes: Any) -> Event:
    fields = {name: attributes.pop(name) for name in ("kind", "outcome", "action", "id") if name in attributes}
    target = Target(uri="k8s://prod/web/pods/a")
    return sample(minute, actor=actor, target=target, attributes=attributes, **fields)


def steady(hours: int, **attributes: Any) -> list[Event]:
    return [use(60.0 * hour, source_ip=HOME, user_agent="Boto3/1.34", **attributes) for hour in range(hours)]


def test_a_habit_is_told_on_three_days_and_then_no_more() -> None:
    days = [use(DAY * day, remote_command="exec", action="create pods/exec") for day in range(5)]
    assert told(days) == ["entered SEV3"] * 3 + ["", ""]


@pytest.mark.parametrize("role", ["", "operator"])
def test_a_habit_that_rests_for_half_a_year_is_news_again(role: str) -> None:
    alone = Actor(id="agent-1", role=role)
    days = [use(DAY * day, alone, remote_command="exec") for day in (0, 1, 2, 3, 180)]
    assert told(days)[-2:] == ["", "entered SEV3"]


def test_what_the_role_does_by_habit_is_no_news_of_its_new_member() -> None:
    def entered(minute: float, name: str, role: str) -> Event:
        return use(minute, Actor(id=name, role=role), remote_command="exec", id=f"{name} {minute}")

    def old(role: str, *names: str) -> list[Event]:
        return [entered(DAY * day, name, role) for day in range(4) for name in names]

    assert told([*old("operator", "a", "b"), entered(DAY * 5, "new", "operator")])[-1] == ""
    assert told([*old("operator", "a"), entered(DAY * 5, "new", "operator")])[-1] == "entered SEV3"
    assert told([*old("operator", "a", "b"), entered(DAY * 5, "new", "clerk")])[-1] == "entered SEV3"
    assert told([*old("", "a", "b"), entered(DAY * 5, "new", "")])[-1] == "entered SEV3"


def test_what_three_of_a_kind_and_role_do_is_a_note_of_the_fourth() -> None:
    def entered(minute: float, name: str, kind: ActorKind = "human") -> Event:
        return use(minute, Actor(id=name, kind=kind), remote_command="exec", id=name)

    first = [entered(float(i), f"ann-{i}") for i in range(3)]
    assert told([*first, entered(90, "bob")]) == [*["entered SEV3"] * 3, "entered SEV4"]
    assert told([*first, entered(90, "bot", "agent")])[-1] == "entered SEV3"


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


def others_there(*names: str, **attributes: Any) -> list[Event]:
    return [
        use(60.0 * h, Actor(id=name), source_ip=AWAY, user_agent="curl/8", id=f"{name}-{h}", **attributes)
        for h in range(200)
        for name in names
    ]


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        (others_there("agent-2", "agent-3"), ""),
        (others_there("agent-2"), "new_network SEV2"),
        (others_there("agent-2", "agent-3", outside=True), "new_network SEV2"),
        (others_there("agent-2", "agent-3", anonymous=True), "new_network SEV2"),
        ([use(12_000, Actor(id=f"agent-{i}"), source_ip=AWAY, id=f"v-{i}") for i in range(9)], "new_network SEV2"),
    ],
    ids=["two at home", "one at home", "of another house", "without a name", "visitors"],
)
def test_where_several_of_the_house_are_at_home_is_no_strange_place(there: list[Event], expected: str) -> None:
    both = sorted([*steady(200), *there], key=lambda event: event.time)
    assert told([*both, use(13_000, source_ip=AWAY, user_agent="curl/8")])[-1] == expected


def moved(hours: range, roles: int, ip: str, agent: str = "Boto3/1.34") -> list[Event]:
    return [
        use(60.0 * h, Actor(id=f"svc-{i}"), source_ip=ip, user_agent=agent, id=f"svc-{i}-{h}")
        for h in hours
        for i in range(roles)
    ]


def test_when_many_move_each_is_told_once_and_the_next_hours_are_learnt() -> None:
    before, after = moved(range(200), 6, HOME), moved(range(200, 260), 6, AWAY)
    found = run([*before, *after])
    news = [each[0] for each in found if each]
    assert [finding.severity for finding in news] == ["SEV3"] * 6 + ["SEV4"] * 6
    assert all("network:185.4.0.0/16" in finding.entities for finding in news)
    assert "as 6 others of its role do" in news[-1].reason


def test_a_move_excuses_no_new_client_and_two_are_no_move() -> None:
    before, after = moved(range(200), 6, HOME), moved(range(200, 204), 6, AWAY, "curl/8")
    assert {each[0].severity for each in run([*before, *after]) if each} == {"SEV2"}
    before, after = moved(range(200), 2, HOME), moved(range(200, 204), 2, AWAY)
    assert {each[0].severity for each in run([*before, *after]) if each} == {"SEV3"}


@pytest.mark.parametrize("prefix", ["", "::ffff:"])
def test_a_nightly_identity_is_covered_in_the_end_and_so_are_mapped_addresses(prefix: str) -> None:
    nights = [use(DAY * day, source_ip=prefix + HOME, user_agent="Boto3/1.34") for day in range(300)]
    assert told([*nights, use(DAY * 300, source_ip=prefix + AWAY)])[-1] == "new_network SEV3"


def test_failures_at_a_door_excuse_no_success() -> None:
    tried = [use(DAY * day, kind="auth", root=True, outcome="failure") for day in range(5)]
    got_in = [use(DAY * day, kind="auth", root=True) for day in range(5, 10)]
    assert told([*tried, *got_in]) == [*["root_used SEV3"] * 3, "", "", *["root_used SEV3"] * 5]
    odd: dict[str, Any] = {"kind": "auth", "unusual": "New IP, New Device"}
    noise = [use(0.1 * i, outcome="failure", **odd) for i in range(30)]
    assert told([*noise, use(9, **odd)])[-1] == "unusual_sign_on SEV3"
    alarms = [use(DAY * day, alarm=True, outcome="failure") for day in range(5)]
    assert told([*alarms, use(DAY * 5, alarm=True)])[-2:] == ["", "alarm SEV3"]


def test_a_sources_alarms_about_one_excuse_none_about_another() -> None:
    system = Actor(id="system@okta.com", kind="service")
    alarms = [
        sample(DAY * day, actor=system, kind="auth", target=Target(f"okta://-/User/u{day}"), attributes={"alarm": True})
        for day in range(6)
    ]
    assert told(alarms) == ["alarm SEV3"] * 6


def test_a_public_site_becomes_a_habit_and_hides_no_other_bucket() -> None:
    def read(minute: float, uri: str) -> Event:
        who = Actor(id="ANONYMOUS_PRINCIPAL")
        return sample(minute, id=f"{uri} {minute}", actor=who, target=Target(uri), attributes={"anonymous": True})

    site = [read(DAY * day + i, f"s3://www/img{i}.png") for day in range(5) for i in range(100)]
    found = run([*site, read(DAY * 5, "s3://payroll/all.csv")])
    assert [sum(map(bool, found[day * 100 : day * 100 + 100])) for day in range(5)] == [11, 11, 11, 0, 0]
    (last,) = found[-1]
    assert "resource:s3://payroll" in last.entities
    assert not any(entity.startswith("principal:") for entity in last.entities)


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"source_ip": HOME}, "52.1.0.0/16"),
        ({"source_ip": "2600:1f18:1::1"}, "2600:1f18::/32"),
        ({"source_ip": "10.2.3.4"}, None),
        ({"source_ip": f"::ffff:{HOME}"}, "52.1.0.0/16"),
        ({"source_ip": "::ffff:10.2.3.4"}, None),
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
