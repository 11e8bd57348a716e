"""The hour so far as numbers: bounded, in order of event time, and none of them outside 0 to 1."""

from typing import Any

import msgspec
import pytest

from detector.activity import BY_NAME, DISTINCT_MOST, FEATURES, HOUR, NAMES, Activity
from detector.events import Actor, Destination, Event, Target
from tests.support.events import START, event

NINE = START.timestamp()


def after(*events: Event) -> Activity:
    activity = Activity()
    for item in events:
        activity.add(item, item.time.timestamp())
    return activity


def told(activity: Activity) -> dict[str, str]:
    vector = activity.vector()
    return {f.name: f.tell(value) for f, value in zip(FEATURES, vector, strict=True) if value}


def transfer(seconds: float, number: int = 0, **fields: Any) -> Event:
    to = Destination(host=f"host-{number}.example", zone="external")
    return event(seconds, kind="transfer", action="put", destination=to, bytes_out=1_000_000, **fields)


def test_each_quantity_can_be_read_back_from_its_feature() -> None:
    secret = Target(uri="db://users", sensitivity="restricted")
    activity = after(
        transfer(0, 1),
        transfer(60, 2, outcome="denied"),
        event(120, target=secret, action="read", bytes_in=5_000, records=40),
        event(180, target=secret, action="read", outcome="failure"),
    )
    assert {k: v for k, v in told(activity).items() if not k.startswith("hour")} == {
        "events": "4",
        "access_events": "2",
        "transfer_events": "2",
        "failed_share": "25%",
        "denied_share": "25%",
        "bytes_out": "2 MB",
        "bytes_outside": "2 MB",
        "bytes_in": "5 kB",
        "records": "40",
        "actions": "2",
        "targets": "1",
        "destinations": "2",
        "outside_share": "50%",
        "sensitive_share": "50%",
    }


def test_a_destination_without_a_name_is_none() -> None:
    assert "outside_share" not in told(after(event(0, destination=Destination(zone="unknown"))))


def test_a_later_hour_begins_anew_and_an_earlier_one_changes_nothing() -> None:
    activity = after(transfer(0), transfer(HOUR + 1), transfer(HOUR + 2))
    before = activity.dump()
    activity.add(transfer(3), NINE + 3)
    assert activity.events == 2
    assert activity.dump() == before


def test_orders_to_an_agent_are_no_acts_of_it() -> None:
    order = event(0, kind="control", action="stop", actor=Actor("alice", "human"), target=Target(uri="agent-1"))
    assert after(order).events == 0


def test_the_hour_stands_on_the_clock_whatever_the_day() -> None:
    clock = [after(transfer(24 * HOUR * day)).vector()[-2:] for day in range(3)]
    assert clock[0] == clock[1] == clock[2]
    assert after(transfer(HOUR)).vector()[-2:] != clock[0]


def test_a_flood_of_names_is_counted_to_a_bound_and_stays_in_it() -> None:
    activity = Activity()
    for number in range(10_000):
        flood = transfer(0, number, id=f"e{number}", target=Target(uri="x" * 4000 + str(number)), records=2**63 - 1)
        activity.add(msgspec.structs.replace(flood, action=f"act-{number}", bytes_out=2**63 - 1), NINE)
    assert told(activity)["targets"] == str(DISTINCT_MOST)
    assert all(0.0 <= value <= 1.0 for value in activity.vector())
    assert len(msgspec.msgpack.encode(activity.dump())) < 2_000


def test_a_restored_one_goes_on_the_same() -> None:
    activity = after(*(transfer(n, n) for n in range(5)))
    twin = Activity().load(msgspec.msgpack.decode(msgspec.msgpack.encode(activity.dump())))
    for each in (activity, twin):
        each.add(transfer(6, 2), NINE + 6)
    assert twin.vector() == activity.vector()
    assert twin.dump() == activity.dump()


def test_a_copy_goes_its_own_way() -> None:
    activity = after(transfer(0))
    twin = activity.copy()
    twin.add(transfer(1, 1), NINE + 1)
    assert (activity.events, twin.events) == (1, 2)
    assert activity.vector() == after(transfer(0)).vector()


@pytest.mark.parametrize(
    "state", [[1, [0] * 3, [0] * 4, [0.0] * 4, [[], [], []]], [1, 2], [1, [0] * 7, [0], [0.0] * 4, []]]
)
def test_state_of_another_shape_is_refused(state: list[Any]) -> None:
    with pytest.raises(ValueError, match=r"unpack|argument"):
        Activity().load(state)


def test_what_is_unusual_is_told_with_what_is_usual() -> None:
    many = BY_NAME["targets"]
    assert many.told(many.scaled(1), many.scaled(2), many.scaled(4)) == "1 target (usually 2 to 4)"
    assert many.told(many.scaled(9), many.scaled(2), many.scaled(2)) == "9 different targets (usually 2)"
    assert BY_NAME["denied_share"].told(0.4, 0.0, 0.1) == "40% of the acts denied (usually 0% to 10%)"
    assert BY_NAME["hour_sine"].told(1.0, 0.2, 0.5) == "at an unusual time of the day"


def test_the_features_have_names_of_their_own() -> None:
    assert len(set(NAMES)) == len(NAMES) == len(Activity().vector())
