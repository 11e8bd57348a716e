"""Grave single acts and how habit, approval and refusal change what is said of them."""

from typing import Any

import pytest

from detector.detectors.base import sample
from detector.detectors.holdings import exported, held_by
from detector.events import Actor, Approval, Event, Kind, Permission, Target
from tests.support.detections import run, told

DAY = 1440.0
ANN = Actor(id="ann", kind="human")


def act(kind: Kind, action: str, minute: float = 0.0, actor: Actor | None = None, **fields: Any) -> Event:
    return sample(minute, kind=kind, action=action, actor=actor, target=Target(uri="x://thing"), **fields)


def grant(privilege: str, minute: float = 0.0, actor: Actor | None = ANN, **fields: Any) -> Event:
    permission = Permission("grant", fields.pop("grantee", "carol"), fields.pop("audience", "user"), None, privilege)
    return act("permission", fields.pop("action", "add"), minute, actor, permission=permission, **fields)


@pytest.mark.parametrize(
    ("action", "noun"),
    [
        ("rds:DeleteDBInstance", "db instance"),
        ("dynamodb:DeleteTable", "table"),
        ("dynamodb:DeleteItem", None),
        ("kms:ScheduleKeyDeletion", "kms key"),
        ("ec2:DeleteKeyPair", None),
        ("backup:DeleteRecoveryPoint", "recovery point"),
        ("cloudsql.instances.delete", "instance"),
        ("storage.objects.delete", None),
        ("google.cloud.bigquery.v2.DatasetService.DeleteDataset", "dataset"),
        ("repo.destroy", "repo"),
        ("label.destroy", None),
        ("delete_from_folder", None),
        ("dynamodb:ExportTableToPointInTime", "table"),
        ("ec2:DeregisterImage", "ec image"),
        ("delete_docker_image", None),
        ("user.lifecycle.delete.initiated", "user"),
        ("delete persistentvolumeclaims", "persistentvolumeclaim"),
        ("delete configmaps", None),
        ("drop_table", "table"),
        ("delete_email", None),
        ("", None),
    ],
)
def test_what_holds_much_is_known_by_the_words_of_any_source(action: str, noun: str | None) -> None:
    found = held_by(action)
    assert (found[0] if found else None) == noun


def test_a_statement_says_what_a_general_call_does() -> None:
    query = "google.cloud.bigquery.v2.JobService.InsertJob"
    assert told("mass_deletion", [act("delete", query)]) == [""]
    assert told("mass_deletion", [act("delete", query, attributes={"statement": "DROP_TABLE"})]) == [
        "irreversible SEV3"
    ]
    assert exported(act("transfer", query, bytes_out=9, attributes={"statement": "EXPORT_TABLE"})) == "table"


@pytest.mark.parametrize(
    ("detector", "kind", "action", "rule", "then"),
    [
        ("mass_deletion", "delete", "s3:DeleteBucket", "irreversible", ""),
        ("bulk_export", "transfer", "ec2:CreateSnapshot", "copied", ""),
        ("bulk_export", "transfer", "repo.transfer", "handed_over", "handed_over SEV4"),
        ("mass_deletion", "delete", "rds:DeleteDBSnapshot", "irreversible", "irreversible SEV4"),
        ("mass_deletion", "delete", "kms:ScheduleKeyDeletion", "irreversible", "irreversible SEV4"),
        ("mass_deletion", "delete", "logs:DeleteLogGroup", "irreversible", "irreversible SEV4"),
    ],
)
def test_done_on_three_days_it_is_a_habit(detector: str, kind: Kind, action: str, rule: str, then: str) -> None:
    days = [act(kind, action, DAY * day) for day in range(5)]
    assert told(detector, days) == [f"{rule} SEV3"] * 3 + [then, then]
    assert told(detector, [act(kind, action, float(i)) for i in range(4)]) == [f"{rule} SEV3"] * 4
    assert told(detector, [act(kind, action, outcome="failure")]) == [""]
    assert told(detector, [act(kind, action, actor=ANN)]) == [f"{rule} SEV3"]


@pytest.mark.parametrize(
    ("detector", "kind", "action"),
    [("mass_deletion", "delete", "s3:DeleteBucket"), ("bulk_export", "transfer", "ec2:CreateSnapshot")],
)
def test_what_a_service_does_for_somebody_is_part_of_what_was_asked(detector: str, kind: Kind, action: str) -> None:
    for attributes in ({"invoked_by": "backup.amazonaws.com"}, {"source_ip": "cloudformation.amazonaws.com"}):
        assert told(detector, [act(kind, action, attributes=attributes)]) == [""]
    assert told(detector, [act(kind, action, attributes={"source_ip": "192.0.2.7"})]) != [""]


@pytest.mark.parametrize("service", ["states", "scheduler", "ssm", "events", "config", "lambda"])
def test_what_a_service_does_because_somebody_told_it_to_is_their_act(service: str) -> None:
    through = {"invoked_by": f"{service}.amazonaws.com", "source_ip": f"{service}.amazonaws.com"}
    assert told("mass_deletion", [act("delete", "s3:DeleteBucket", attributes=through)]) == ["irreversible SEV3"]
    assert told("bulk_export", [act("transfer", "ec2:CreateSnapshot", attributes=through)]) == ["copied SEV3"]
    assert told("permission_change", [grant("editor", attributes=through)]) == ["unfamiliar_grant SEV3"]


def test_a_yes_makes_a_note_of_it() -> None:
    asked = act("delete", "s3:DeleteBucket", actor=ANN, approval=Approval(id="CHG-1", by="dana"))
    assert told("mass_deletion", [asked]) == ["irreversible SEV4"]


def test_two_thousand_deletions_of_objects_are_a_matter_of_rate() -> None:
    assert "irreversible SEV3" not in told("mass_deletion", [act("delete", "s3:DeleteObject", records=2000)])


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (grant("credential:access key"), "new_credential SEV3"),
        (grant("credential:password"), "new_credential SEV4"),
        (grant("credential:password", actor=None), "new_credential SEV3"),
        (grant("credential:password", actor=Actor(id="helpdesk", kind="service")), "handed_out SEV3"),
        (grant("credential:password", actor=Actor(id="h", kind="service"), grantee="h"), "handed_out SEV4"),
        (grant("cluster-admin"), "broad_grant SEV3"),
        (grant("cluster-admin", actor=Actor(id="controller", kind="service")), "broad_grant SEV4"),
        (grant("editor"), "unfamiliar_grant SEV3"),
        (grant("roles/viewer"), ""),
        (grant("roles/viewer", audience="org"), "unfamiliar_grant SEV3"),
        (grant("restore", attributes={"grantee_account": "444455556666"}), "shared_outside SEV3"),
        (grant("restore", actor=None, attributes={"grantee_account": "444455556666"}), "shared_outside SEV2"),
        (grant("editor", outcome="denied"), ""),
        (grant("editor", attributes={"invoked_by": "cloudformation.amazonaws.com"}), ""),
        (grant("editor", attributes={"source_ip": "cloudformation.amazonaws.com"}), ""),
        (grant("editor", attributes={"private": "rbac"}), ""),
        (grant("resource policy"), ""),
        (grant("ingress tcp 22-22"), ""),
        (grant("ingress tcp 22-22", audience="group"), "unfamiliar_grant SEV3"),
        (grant("app"), ""),
        (grant("group member", attributes={"target_names": "Ann, Lunch"}), ""),
        (grant("group member", attributes={"target_names": "Ann, Super Admins"}), "unfamiliar_grant SEV3"),
    ],
)
def test_a_grant_of_unrated_reach(event: Event, expected: str) -> None:
    assert told("permission_change", [event]) == [expected]


def test_a_daily_grant_is_noted_and_another_kind_is_still_told() -> None:
    days = [grant("credential:access key", DAY * day, action="CreateAccessKey") for day in range(5)]
    found = told("permission_change", [*days, grant("*:*", DAY * 5, action="AttachRolePolicy")])
    assert found == [*["new_credential SEV3"] * 3, *["new_credential SEV4"] * 2, "broad_grant SEV3"]


def test_sharing_with_one_outsider_by_habit_excuses_no_other() -> None:
    days = [grant("restore", DAY * day, attributes={"grantee_account": "444455556666"}) for day in range(4)]
    other = grant("restore", DAY * 5, attributes={"grantee_account": "777788889999"})
    assert told("permission_change", [*days, other])[-2:] == ["shared_outside SEV4", "shared_outside SEV3"]


def test_a_safeguard_is_told_however_often_it_is_switched_off() -> None:
    off = [
        act("permission", "StopLogging", DAY * day, permission=Permission("disable", privilege="audit log"))
        for day in range(5)
    ]
    assert told("permission_change", off) == ["safeguard_disabled SEV2"] * 5


def test_a_service_that_lends_itself_tokens_may_not_hand_one_to_another() -> None:
    controller = Actor(id="ctl", kind="service")
    lent = [grant("credential:token", DAY * day, controller, grantee="ctl") for day in range(4)]
    other = grant("credential:token", DAY * 5, controller, grantee="stranger")
    assert told("permission_change", [*lent, other]) == [*["handed_out SEV4"] * 4, "handed_out SEV3"]


def test_passwords_that_somebody_changes_as_a_person_excuse_none_as_a_machine() -> None:
    daily = [grant("credential:password", DAY * day) for day in range(4)]
    machine = grant("credential:password", DAY * 5, Actor(id="ann"))
    assert told("permission_change", [*daily, machine]) == [*["new_credential SEV4"] * 4, "new_credential SEV3"]


def test_a_flood_of_grants_is_told_ten_times_and_noted_from_then_on() -> None:
    flood = [grant("PowerUserAccess", 0.1 * i, grantee=f"r{i}") for i in range(60)]
    assert told("permission_change", flood) == [*["unfamiliar_grant SEV3"] * 10, *["unfamiliar_grant SEV4"] * 50]


def test_a_flood_of_departures_is_told_ten_times() -> None:
    gone = [Permission("revoke", f"u{i}", "user", 1, "member") for i in range(60)]
    flood = [act("permission", "org.remove_member", 0.1 * i, ANN, permission=each) for i, each in enumerate(gone)]
    rules = [finding.rule for found in run("permission_change", flood) for finding in found]
    assert (rules.count("closed"), rules.count("locked_out")) == (60, 10)


def test_full_control_for_one_by_habit_excuses_none_for_another() -> None:
    days = [grant("*:*", DAY * day, action="AttachRolePolicy", grantee=f"ci-{day}") for day in range(5)]
    other = grant("*:*", DAY * 5, action="AttachRolePolicy", grantee="backdoor")
    found = told("permission_change", [*days, other])
    assert found == [*["broad_grant SEV3"] * 3, *["broad_grant SEV4"] * 2, "broad_grant SEV3"]
