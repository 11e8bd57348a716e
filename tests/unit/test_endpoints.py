"""What an event reached: each endpoint once, by a name that can be counted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.endpoints import Endpoint, endpoints, segment, template
from detector.events import Destination, Event, Kind, Target, Zone
from tests.support import wild
from tests.support.events import event


def reached(uri: str = "", kind: Kind = "call", to: Destination | None = None) -> list[Endpoint]:
    return endpoints(event(kind=kind, target=Target(uri=uri) if uri else None, destination=to))


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/users/8812", "/v1/users/{id}"),
        ("/v1/users/0b7e6c1a-9d1e-4c57-8f43-aaaaaaaaaaaa/mail", "/v1/users/{id}/mail"),
        ("/blobs/9f86d081884c", "/blobs/{id}"),
        ("/t/eyJhbGciOiJIUzI1NiIsInR5cCI6", "/t/{id}"),
        ("/v1/policies/drafts", "/v1/policies/drafts"),
        ("/internationalisation-settings", "/internationalisation-settings"),
        ("/v2/b2b", "/v2/b2b"),
        ("", ""),
    ],
)
def test_only_identifiers_are_cut_out_of_a_path(path: str, name: str) -> None:
    assert template(path) == name


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=5))
def test_a_route_is_one_name_whoever_it_is_called_for(ids: list[int]) -> None:
    assert {template(f"/orders/{number}/items") for number in ids} == {"/orders/{id}/items"}


@pytest.mark.parametrize(
    ("host", "network"),
    [
        ("10.42.7.9", "10.42.0.0/16"),
        ("2001:db8:1:2::5", "2001:db8:1::/48"),
        ("::ffff:10.0.0.1", "::/48"),
        ("db.corp.example", None),
        ("999.1.1.1", None),
        ("1.2.3", None),
        ("", None),
    ],
)
def test_a_literal_address_lies_in_a_segment(host: str, network: str | None) -> None:
    assert segment(host) == network


def test_a_call_reaches_a_host_and_a_route() -> None:
    to = Destination(zone="approved")
    assert reached("https://API.corp.example:8443/v1/users/7?token=x", to=to) == [
        Endpoint("host", "api.corp.example", "approved"),
        Endpoint("route", "api.corp.example/v1/users/{id}", "approved"),
    ]


def test_an_access_to_a_web_address_is_no_route() -> None:
    assert [e.namespace for e in reached("https://wiki.corp.example/page/1", kind="access")] == ["host"]


def test_a_bucket_is_a_bucket_whatever_the_key() -> None:
    assert reached("s3://exports/2026/03/a.csv") == [Endpoint("bucket", "s3://exports", "internal")]
    assert reached("s3://exports/b.csv") == reached("s3://exports/2026/03/a.csv")


def test_a_literal_address_gives_its_segment_and_no_host() -> None:
    assert reached("http://10.42.7.9/admin", kind="access") == [Endpoint("segment", "10.42.0.0/16", "internal")]
    assert reached("ssh://10.42.7.9", kind="access") == [Endpoint("segment", "10.42.0.0/16", "internal")]


def test_a_destination_gives_host_account_and_recipient_in_its_zone() -> None:
    to = Destination(host="Drop.Example", account="acct-9", recipient="Eve@Example.org", zone="external")
    assert reached(to=to) == [
        Endpoint("host", "drop.example", "external"),
        Endpoint("account", "acct-9", "external"),
        Endpoint("recipient", "eve@example.org", "external"),
    ]


def test_each_endpoint_comes_once_and_the_destination_first() -> None:
    to = Destination(host="drop.example", zone="external")
    assert [e.namespace for e in reached("https://drop.example/up", to=to)] == ["host", "route"]


@pytest.mark.parametrize("uri", ["mailbox", "https://[::1", "mailto:a@b.example", "db://orders/users", "//host/x"])
def test_what_is_no_endpoint_gives_none(uri: str) -> None:
    assert reached(uri) == []


@pytest.mark.parametrize("zone", ["internal", "external", "public"])
def test_the_zone_is_that_of_the_destination(zone: Zone) -> None:
    assert {e.zone for e in reached("https://x.example/a", to=Destination(zone=zone))} == {zone}


@given(wild.events())
def test_any_event_has_endpoints_each_once(wildest: Event) -> None:
    found = endpoints(wildest)
    assert len(found) == len(set(found))
    assert all(endpoint.name for endpoint in found)
