"""What the operator knows and a source can't tell: filled where it is open, and nowhere else."""

import pytest
from msgspec import structs
from pydantic import ValidationError

from detector import labels as module
from detector.destinations import DestinationSettings, Zones
from detector.events import Actor, Destination, Event, Kind, Target, Zone
from detector.labels import Labels, LabelSettings, PrincipalLabel, ResourceLabel, filled
from tests.support.events import event

SETTINGS = LabelSettings(
    resources=(
        ResourceLabel(match=("s3://hr-public/*",), sensitivity="public"),
        ResourceLabel(match=("s3://hr-*", "*/secrets/*"), sensitivity="restricted"),
        ResourceLabel(match=("db://crm/[ab]?",), sensitivity="confidential"),
    ),
    principals=(
        PrincipalLabel(match=("arn:aws:iam::*:role/deploy-*",), role="deployer"),
        PrincipalLabel(match=("svc-*", "backup"), role="service", kind="service"),
        PrincipalLabel(match=("*@corp.example",), kind="human"),
    ),
)
ZONES = Zones(
    DestinationSettings(
        internal=(".corp.example", "10.0.0.0/8"),
        approved=("partner.example",),
        external=("203.0.113.0/24",),
        public=("paste.example", "s3://open-*"),
    )
)
LABELS = Labels(SETTINGS, ZONES)


def on(uri: str, kind: Kind = "access", **fields: str) -> Event:
    return event(kind=kind, target=Target(uri=uri, **fields))  # type: ignore[arg-type]


def by(name: str, **fields: str) -> Event:
    return event(actor=Actor(name, **fields))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("uri", "sensitivity"),
    [
        ("s3://hr-public/list.csv", "public"),
        ("s3://hr-files/a/b", "restricted"),
        ("k8s://prod/web/secrets/token", "restricted"),
        ("db://crm/a1", "confidential"),
        ("db://crm/a12", "unknown"),
        ("s3://HR-files/a", "unknown"),
        ("x s3://hr-files", "unknown"),
    ],
)
def test_a_resource_has_the_sensitivity_of_the_first_pattern_that_fits(uri: str, sensitivity: str) -> None:
    target = LABELS.fill(on(uri)).target
    assert target is not None
    assert target.sensitivity == sensitivity


def test_what_the_source_tells_of_a_resource_stays() -> None:
    told = on("s3://hr-files/a", sensitivity="internal")
    assert LABELS.fill(told) is told
    stop = on("s3://hr-agent", "control")
    assert LABELS.fill(stop) is stop, "the target of a control event is an agent"


@pytest.mark.parametrize(
    ("given", "role", "kind"),
    [
        (Actor("arn:aws:iam::1:role/deploy-prod"), "deployer", "agent"),
        (Actor("arn:aws:iam::1:role/deploy-prod", role="mover"), "mover", "agent"),
        (Actor("svc-7", "agent"), "service", "service"),
        (Actor("svc-7", "agent", "mover"), "mover", "service"),
        (Actor("ann@corp.example", "agent"), "", "human"),
        (Actor("ann@corp.example.evil", "agent"), "", "agent"),
    ],
)
def test_a_principal_has_the_role_and_kind_of_the_first_pattern_that_fits(given: Actor, role: str, kind: str) -> None:
    actor = LABELS.fill(event(actor=given)).actor
    assert (actor.id, actor.role, actor.kind) == (given.id, role, kind)


@pytest.mark.parametrize(
    ("host", "told", "zone"),
    [
        ("mail.corp.example", "unknown", "internal"),
        ("10.1.2.3", "unknown", "internal"),
        ("203.0.113.9", "unknown", "external"),
        ("paste.example", "unknown", "public"),
        ("partner.example", "unknown", "unknown"),
        ("who.example", "unknown", "unknown"),
        ("paste.example", "internal", "internal"),
        ("203.0.113.9", "approved", "approved"),
    ],
)
def test_a_destination_has_the_zone_of_its_list_where_the_source_knows_none(host: str, told: Zone, zone: Zone) -> None:
    destination = LABELS.fill(event(kind="transfer", destination=Destination(host=host, zone=told))).destination
    assert destination is not None
    assert destination.zone == zone


def test_the_worst_place_that_is_reached_counts() -> None:
    to = Destination(host="mail.corp.example", recipient="paste.example")
    assert LABELS.fill(event(kind="transfer", destination=to)).destination == structs.replace(to, zone="public")
    half = Destination(host="mail.corp.example", recipient="who.example")
    assert LABELS.fill(event(kind="transfer", destination=half)).destination == half
    copied = event(kind="transfer", target=Target("s3://open-data/a"))
    assert LABELS.fill(copied).destination == Destination(zone="public")
    read = event(kind="access", target=Target("s3://open-data/a"))
    assert LABELS.fill(read) is read


def test_what_was_filled_is_told() -> None:
    before = event(
        kind="transfer", actor=Actor("svc-7"), target=Target("s3://hr-a"), destination=Destination(host="paste.example")
    )
    assert filled(before, LABELS.fill(before)) == {
        "sensitivity": "restricted",
        "role": "service",
        "kind": "service",
        "zone": "public",
    }
    assert filled(before, before) == {}


def test_nothing_known_is_nothing_done() -> None:
    assert Labels().idle
    assert Labels(LabelSettings(), Zones(DestinationSettings(approved=("a.example",)))).idle
    assert not LABELS.idle
    open_event = event(actor=Actor("svc-7"), target=Target("s3://hr-a"))
    assert Labels().fill(open_event) is open_event


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KNOWN_MOST", 10)
    labels = Labels(SETTINGS)
    for number in range(100):
        found = labels.fill(on(f"s3://hr-{number}"))
        assert found.target is not None
        assert found.target.sensitivity == "restricted"
    assert labels._resources is not None
    assert len(labels._resources._known) <= 10


@pytest.mark.parametrize(
    "wrong",
    [
        {"resources": [{"match": [], "sensitivity": "public"}]},
        {"resources": [{"match": [""], "sensitivity": "public"}]},
        {"resources": [{"match": ["a"], "sensitivity": "unknown"}]},
        {"principals": [{"match": ["a"]}]},
        {"principals": [{"match": ["a"], "kind": "robot"}]},
    ],
)
def test_a_rule_that_says_nothing_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        LabelSettings.model_validate(wrong)


@pytest.mark.parametrize("pattern", [" s3://x*", "s3://x ", "[z-a]", "s3://[9-0]*"])
def test_a_pattern_that_can_hardly_fit_is_an_error(pattern: str) -> None:
    with pytest.raises(ValidationError, match="fits"):
        ResourceLabel(match=("a*", pattern), sensitivity="public")


PINNED = Labels(
    LabelSettings(
        principals=(
            PrincipalLabel(match=("svc-backup-*",), role="backup", pin=True),
            PrincipalLabel(match=("svc-*",), role="service"),
        )
    )
)


@pytest.mark.parametrize(
    ("name", "said", "role"),
    [
        ("svc-backup-1", "", "backup"),
        ("svc-backup-1", "crawler", "backup"),
        ("agent-7", "backup", ""),
        ("svc-7", "backup", "service"),
        ("svc-7", "crawler", "crawler"),
        ("agent-7", "crawler", "crawler"),
    ],
)
def test_a_pinned_role_is_theirs_alone_whatever_the_log_says(name: str, said: str, role: str) -> None:
    assert PINNED.fill(by(name, role=said)).actor.role == role


def test_only_a_role_can_be_pinned() -> None:
    with pytest.raises(ValidationError, match="`pin` holds a `role` fast"):
        PrincipalLabel(match=("x",), kind="human", pin=True)
