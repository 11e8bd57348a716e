"""What the operator's lists say of where events went: which rule fits, which zone follows, what they never do."""

import pytest
from msgspec import structs

from detector import destinations
from detector.destinations import DestinationSettings, Places, Zones
from detector.events import Content, Destination, Event, Kind, Named, Target, Zone
from tests.support.events import event

LISTS = DestinationSettings(
    internal=(".corp.example", "10.0.0.0/8", "s3://corp-*"),
    approved=("files.partner.example", "203.0.113.0/24", "s3://partner-*", "*@partner.example", "acct-7"),
)


def sent(
    host: str | None = None,
    zone: Zone = "external",
    uri: str | None = None,
    kind: Kind = "transfer",
    *,
    account: str | None = None,
    recipient: str | None = None,
) -> Event:
    """An event that goes to these places."""
    to = Destination(host=host, account=account, recipient=recipient, zone=zone)
    return event(kind=kind, target=Target(uri=uri) if uri else None, destination=to)


@pytest.mark.parametrize(
    ("rule", "names", "strangers"),
    [
        ("files.corp.example", ["files.corp.example", "Files.CORP.example"], ["corp.example", "xfiles.corp.example"]),
        (
            ".Corp.example",
            ["corp.example", "a.corp.example", "a.b.CORP.example"],
            ["evilcorp.example", "corp.example.evil", "a.corp.example.evil"],
        ),
        ("10.2.0.0/16", ["10.2.0.0", "10.2.255.255"], ["10.3.0.1", "10.2.0.1.evil", "10.2.0.0/16", "::1", "host"]),
        ("2001:db8::/32", ["2001:db8::7", "2001:0DB8:1::"], ["2001:db9::7", "10.2.0.1"]),
        ("s3://team-*", ["s3://team-a", "S3://Team-b"], ["s3://teams", "gs://team-a"]),
        ("*@corp.example", ["ines@corp.example"], ["ines@corp.example.evil", "ines@evilcorp.example"]),
        ("node-[12].lan", ["node-1.lan"], ["node-3.lan"]),
        (
            "*@corp.example",
            ["ann@corp.example, bob@corp.example", "ann@corp.example;", "ann@corp.example."],
            [
                "drop@evil.example, bob@corp.example",
                "drop@evil.example;bob@corp.example",
                "a@b@corp.example",
                ",",
                "evil.example/x@corp.example",
                "drop@evil.example bob@corp.example",
                "drop@evil.example\nb@corp.example",
            ],
        ),
        (
            ".corp.example",
            ["x@corp.example", "x@mail.corp.example", "X@corp.example.", "corp.example.:443", "a.corp.example:8443"],
            [
                "evil.example/.corp.example",
                "evil.example/x.corp.example",
                "drop@evil.example,.corp.example",
                "a@evil.example@corp.example",
                "evil.example:1@corp.example",
                "evil.example#.corp.example",
                "x@evilcorp.example",
                "s3://x.corp.example",
                "evil.example, a.corp.example",
            ],
        ),
        ("files.corp.example.", ["files.corp.example", "files.corp.example.", "files.corp.example:80"], ["example"]),
        ("10.2.0.0/16", ["10.2.0.1:443", "10.2.0.1, 10.2.0.2"], ["10.3.0.1:443", "10.2.0.1,10.3.0.1"]),
        ("2001:db8::/32", ["[2001:db8::1]:443", "[2001:db8::1]"], ["[2001:db9::1]:443"]),
        ("s3://*[!x]", ["s3://team-a"], ["s3://team-x", "s3://evil/a", "s3://evil, a"]),
        ("acct-7", ["acct-7"], ["acct-7:443", "acct-8"]),
        ("Acme Ltd", ["acme ltd"], ["acme", "acme ltd, evil"]),
        ("*", ["ann@x.example", "s3://a/b", "x, y@z.example"], [""]),
    ],
)
def test_a_rule_fits_what_it_says(rule: str, names: list[str], strangers: list[str]) -> None:
    places = Places([rule])
    assert [places.find(name) for name in names] == [rule] * len(names)
    assert [places.find(name) for name in strangers] == [None] * len(strangers)


def test_among_several_rules_the_most_exact_one_is_named_and_the_longest_suffix() -> None:
    rules = ["*.example", ".example", ".corp.example", "mail.corp.example"]
    named = [Places(rules).find(name) for name in ("mail.corp.example", "web.corp.example", "web.other.example")]
    assert named == ["mail.corp.example", ".corp.example", ".example"]


@pytest.mark.parametrize(
    ("item", "zone"),
    [
        (sent("files.partner.example"), "approved"),
        (sent("files.partner.example", "unknown"), "approved"),
        (sent("203.0.113.9"), "approved"),
        (sent("db.corp.example"), "internal"),
        (sent("db.corp.example", "approved"), "internal"),
        (sent("10.7.0.1", "unknown", uri="https://10.7.0.1/in"), "internal"),
        (sent(recipient="Ann@partner.example"), "approved"),
        (sent("files.partner.example", account="acct-7"), "approved"),
        (sent("files.partner.example", uri="s3://corp-reports/q3.pdf"), "approved"),
        (sent(uri="s3://partner-in/a"), "approved"),
    ],
)
def test_a_place_on_a_list_is_judged_by_it(item: Event, zone: Zone) -> None:
    resolved, told = Zones(LISTS).resolve(item)
    assert item.destination is not None
    assert resolved == structs.replace(item, destination=structs.replace(item.destination, zone=zone))
    assert told == (item.destination.zone if zone == "approved" else None)


def test_what_its_source_calls_approved_and_the_operator_too_is_vouched_for() -> None:
    item = sent("files.partner.example", "approved")
    resolved, told = Zones(LISTS).resolve(item)
    assert (resolved is item, told) == (True, "approved")


@pytest.mark.parametrize(
    "item",
    [
        pytest.param(sent("drop.example"), id="on no list"),
        pytest.param(sent("files.partner.example", "public"), id="public, whoever approved it"),
        pytest.param(sent("files.partner.example", "internal"), id="internal already"),
        pytest.param(sent("files.partner.example", account="acct-8"), id="an approved host, a stranger's account"),
        pytest.param(sent("files.partner.example", recipient="a@drop.example"), id="a stranger behind it"),
        pytest.param(sent("files.partner.example", uri="s3://drop/in"), id="a stranger's bucket"),
        pytest.param(sent("drop.example", "approved"), id="called approved, and on no list"),
        pytest.param(sent(), id="nowhere in particular"),
        pytest.param(event(target=Target(uri="s3://partner-in/a")), id="a read"),
        pytest.param(event(kind="transfer", target=Target(uri="db://crm")), id="to nobody knows where"),
    ],
)
def test_a_list_vouches_for_all_that_an_event_reached_or_for_nothing(item: Event) -> None:
    resolved, told = Zones(LISTS).resolve(item)
    assert (resolved is item, told) == (True, None)


def test_a_transfer_whose_target_is_all_that_is_known_of_where_it_went() -> None:
    resolved, told = Zones(LISTS).resolve(event(kind="transfer", target=Target(uri="s3://partner-in/a")))
    assert (resolved.destination, told) == (Destination(zone="approved"), "unknown")


@pytest.mark.parametrize(
    "stranger",
    [
        Named("email", "drop@evil.example", "bcc", alone=True),
        Named("phone", "14155550123", "to", alone=True),
        Named("channel", "random", "channel", alone=True),
        Named("account", "acct-8", "account", alone=True),
        Named("host", "evil.example", "host", alone=True),
        Named("url", "evil.example/files.partner.example", "webhook", alone=True),
        Named("url", "s3://drop/in", "to", alone=True),
    ],
)
def test_one_stranger_among_an_acts_arguments_is_vouched_for_by_nobody(stranger: Named) -> None:
    known = [Named("email", "bob@partner.example", "to", alone=True), Named("url", "s3://corp-a/x", "url", alone=True)]
    item = sent(recipient="bob@partner.example")
    zones = Zones(LISTS)
    for told, zone, rule in [([*known], "approved", "*@partner.example"), ([*known, stranger], "external", None)]:
        act = structs.replace(item, content=Content(arguments=tuple(told)))
        resolved = zones.resolve(act)[0]
        assert resolved.destination is not None
        assert resolved.destination.zone == zone
        assert zones.approved(act, "bob@partner.example") == rule
    said = structs.replace(stranger, alone=False)
    read = structs.replace(item, kind="access", content=Content(arguments=(stranger,)))
    written = structs.replace(item, content=Content(arguments=(said,)))
    for event_ in (read, written):
        assert zones.approved(event_, "bob@partner.example") == "*@partner.example"


def test_without_lists_nothing_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(destinations, "places", None)
    item = sent("files.partner.example")
    zones = Zones()
    assert zones.resolve(item)[0] is item
    assert zones.approved(item, "files.partner.example") is None


@pytest.mark.parametrize(
    ("item", "endpoint", "rule"),
    [
        (sent("Files.partner.example"), "files.partner.example", "files.partner.example"),
        (
            sent("files.partner.example", uri="https://files.partner.example/v1/in/8812", kind="call"),
            "files.partner.example/v1/in/{id}",
            "files.partner.example",
        ),
        (sent("203.0.113.9"), "203.0.0.0/16", "203.0.113.0/24"),
        (sent(recipient="Ann@partner.example"), "ann@partner.example", "*@partner.example"),
        (sent(uri="s3://partner-in/a"), "s3://partner-in", "s3://partner-*"),
        (sent("db.corp.example"), "db.corp.example", None),
        (sent("10.7.0.1"), "10.7.0.0/16", None),
        (sent("drop.example"), "drop.example", None),
        (sent("files.partner.example", recipient="a@drop.example"), "files.partner.example", None),
        (sent("files.partner.example", account="acct-7"), "files.partner", None),
    ],
)
def test_the_rule_that_approves_an_endpoint(item: Event, endpoint: str, rule: str | None) -> None:
    """The house's own endpoints are not approved by being internal: a new network segment is news."""
    assert Zones(LISTS).approved(item, endpoint) == rule


def test_what_was_looked_up_is_remembered_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(destinations, "KNOWN_MOST", 10)
    zones = Zones(LISTS)
    for i in range(100):
        zones.resolve(sent(f"host-{i}.example"))
    assert len(zones._known) <= 10
    looked_up: list[str] = []
    find = Places.find

    def watched(places: Places, name: str) -> str | None:
        looked_up.append(name)
        return find(places, name)

    monkeypatch.setattr(Places, "find", watched)
    for _ in range(5):
        zones.resolve(sent("files.partner.example"))
    assert looked_up == ["files.partner.example"] * 2, "once on each list"
