"""What is suppressed: which findings a mute or an approval fits, by which name, and until when."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from detector.destinations import DestinationSettings, Zones
from detector.events import Destination, Event
from detector.findings import Finding
from detector.severity import SEVERITIES
from detector.suppressions import Suppressions, expired, is_accepted, kind_of
from tests.support.events import START, event
from tests.support.nouns import a_finding
from tests.support.suppressions import found, mute


@pytest.mark.parametrize(
    ("given", "silent"),
    [
        ({"detectors": ("new_endpoint",)}, True),
        ({"detectors": ("transfer_rate", "new_*")}, True),
        ({"detectors": ("transfer_rate",)}, False),
        ({"rules": ("first_*",)}, True),
        ({"rules": ("burst",)}, False),
        ({"principals": ("agent-?",)}, True),
        ({"principals": ("Agent-1",)}, False),
        ({"roles": ("assistant",)}, True),
        ({"roles": ("backup",)}, False),
        ({"entities": ("resource:db://crm/*",)}, True),
        ({"entities": ("thread:*",)}, False),
        ({"detectors": ("new_endpoint",), "roles": ("assistant",)}, True),
        ({"detectors": ("new_endpoint",), "roles": ("backup",)}, False),
        ({"roles": ("assistant",), "up_to": "SEV3"}, True),
        ({"roles": ("assistant",), "up_to": "SEV4"}, False),
    ],
)
def test_a_mute_silences_what_fits_all_of_its_lists(given: dict[str, Any], silent: bool) -> None:
    finding = found(0, entities=("resource:db://crm/tickets",))
    assert Suppressions([mute(**given)]).mark(finding).suppressed == ("mute:m" if silent else None)


def test_a_mute_holds_until_it_expires_in_event_time() -> None:
    order = mute(roles=("assistant",), expires=START + timedelta(minutes=1))
    marked = [Suppressions([order]).mark(found(seconds)).suppressed for seconds in (-1e6, 59.9, 60.0, 61.0)]
    assert marked == ["mute:m", "mute:m", None, None]


def test_the_gravest_are_told_unless_the_mute_says_so() -> None:
    grave = [found(0, "stop_violation", severity) for severity in SEVERITIES]
    usual, all_of_it = mute(principals=("*",)), mute(principals=("*",), up_to="SEV0")
    assert [usual.silences(finding) for finding in grave] == [False, False, True, True, True]
    assert all(all_of_it.silences(finding) for finding in grave)


def test_the_first_mute_that_fits_gives_its_name_and_nothing_else_changes() -> None:
    orders = [mute(name="other", roles=("x",)), mute(name="first", roles=("*",)), mute(name="second", roles=("*",))]
    finding = found(0)
    marked = Suppressions(orders).mark(finding)
    assert marked == msgspec.structs.replace(finding, suppressed="mute:first")


def reached(host: str, zone: Any = "external") -> tuple[Finding, Event]:
    """What `new_endpoint` says of a new host, and the event."""
    item = event(kind="transfer", destination=Destination(host=host, zone=zone))
    return found(0, evidence={"endpoint": host, "namespace": "host", "zone": zone}), item


def test_an_approved_endpoint_comes_before_any_mute_and_keeps_its_severity() -> None:
    zones = Zones(DestinationSettings(approved=(".partner.example",)))
    suppressions = Suppressions([mute(roles=("*",))], zones)
    marked = suppressions.mark(*reached("in.partner.example"))
    assert (marked.suppressed, marked.severity) == ("approved:.partner.example", "SEV3")
    assert suppressions.mark(*reached("drop.example")).suppressed == "mute:m"


def test_only_what_is_said_of_the_endpoint_itself_is_approved() -> None:
    suppressions = Suppressions(zones=Zones(DestinationSettings(approved=(".partner.example",))))
    finding, item = reached("in.partner.example")
    bulk = msgspec.structs.replace(finding, detector="transfer_rate", evidence={})
    assert suppressions.mark(bulk, item) is bulk
    public = reached("in.partner.example", "public")
    assert suppressions.mark(*public) is public[0]


def test_what_is_approved_may_be_learnt_and_what_is_muted_may_not() -> None:
    approved, muted = (a_finding(suppressed=reason) for reason in ("approved:10.0.0.0/8", "mute:approved"))
    assert [is_accepted(finding) for finding in (approved, muted, a_finding())] == [True, False, False]
    assert [kind_of(str(finding.suppressed)) for finding in (approved, muted)] == ["approved", "mute"]


def test_mutes_that_hold_no_more_are_found() -> None:
    old, new = mute(name="old", roles=("*",), expires=START), mute(name="new", roles=("*",))
    assert expired([old, new], datetime(2026, 3, 2, 9, 0, tzinfo=UTC)) == [old]
