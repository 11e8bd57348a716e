"""Single acts on what holds much: by their words, by their targets, and beside what else was found."""

from typing import Any

import pytest

from detector.detectors.base import sample
from detector.detectors.holdings import exported, lost
from detector.events import Actor, Approval, Destination, Event, Kind, Permission, Sensitivity, Target
from tests.support.detections import run, told

DAY = 1440.0
ANN = Actor(id="ann", kind="human")
YES = Approval(required=True, by="dana")


def act(
    kind: Kind, action: str, minute: float, uri: str = "x://thing", rated: Sensitivity = "unknown", **more: Any
) -> Event:
    return sample(
        minute, id=f"{action} {uri} {minute}", kind=kind, action=action, target=Target(uri, "", rated), **more
    )


@pytest.mark.parametrize(
    "tool",
    [
        *("notify_user", "message_user", "email_user", "send_image", "upload_image", "export_calendar", "create_user"),
        *("send_to_user_mailbox", "submit_application", "run_migration", "sync_user", "publish_package"),
        *("post_to_workspace", "send_package", "share_with_account"),
    ],
)
def test_the_daily_tools_of_agents_copy_no_store(tool: str) -> None:
    assert exported(act("transfer", tool, 0)) == ""


@pytest.mark.parametrize(
    ("action", "what"),
    [
        ("rds:CreateDBSnapshot", "snapshot"),
        ("ec2:CopyImage", "machine image"),
        ("dynamodb:ExportTableToPointInTime", "table"),
        ("rds:StartExportTask", "an export"),
        ("s3:PutBucketReplication", "bucket"),
        ("cloudsql.instances.export", "instance"),
        ("v1.compute.snapshots.insert", "snapshot"),
        ("google.firestore.admin.v1.FirestoreAdmin.ExportDocuments", "an export"),
        ("migration.create", "an export"),
        ("workflows.user.table.export", "table"),
        ("share_drive", "drive"),
        ("s3:CopyObject", ""),
    ],
)
def test_a_copy_of_a_store_is_known_by_its_verb_and_its_noun(action: str, what: str) -> None:
    assert exported(act("transfer", action, 0)) == what


@pytest.mark.parametrize(
    ("action", "what"),
    [("download_report", ""), ("org.audit_log_export", "a download"), ("rds:DownloadDBLogFilePortion", "a download")],
)
def test_a_download_of_records(action: str, what: str) -> None:
    assert exported(act("access", action, 0)) == what


@pytest.mark.parametrize(
    ("action", "noun"),
    [
        *((name, None) for name in ("delete_from_folder", "remove_package", "delete_share", "cancel_subscription")),
        *((name, None) for name in ("remove_product_from_catalog", "remove_user_from_channel", "unpublish_image")),
        ("packages.package_deleted", "package"),
        ("user.lifecycle.delete.initiated", "user"),
        ("ec2:DeregisterImage", "machine image"),
        ("delete_folder", "folder"),
    ],
)
def test_what_is_taken_out_of_something_is_not_destroyed(action: str, noun: str | None) -> None:
    found = lost(act("delete", action, 0))
    assert (found.noun if found else None) == noun


def test_scratch_by_habit_excuses_like_targets_notes_others_and_no_sensitive_one() -> None:
    scratch = [act("delete", "s3:DeleteBucket", DAY * day, f"s3://scratch-{day}") for day in range(4)]
    other = act("delete", "s3:DeleteBucket", DAY * 4, "s3://orders")
    rated = act("delete", "s3:DeleteBucket", DAY * 4, "s3://salaries", "restricted")
    found = told("mass_deletion", [*scratch, other, rated])
    assert found == [*["irreversible SEV3"] * 3, "", "irreversible SEV4", "irreversible SEV3"]


def test_a_sensitive_target_is_noted_though_it_goes_by_habit() -> None:
    nightly = [act("transfer", "ExportTable", DAY * day, "db://hr", "restricted") for day in range(5)]
    assert told("bulk_export", nightly) == [*["copied SEV3"] * 3, *["copied SEV4"] * 2]


@pytest.mark.parametrize(
    ("detector", "kind", "fields"),
    [
        ("bulk_export", "transfer", {"action": "rds:CreateDBSnapshot"}),
        ("mass_deletion", "delete", {"action": "s3:DeleteBucket"}),
        ("identity_misuse", "call", {"action": "s", "attributes": {"remote_command": "exec"}}),
        ("permission_change", "permission", {"action": "a", "permission": Permission("grant", "b", "user", 1, "*:*")}),
    ],
)
def test_what_was_approved_excuses_nothing_that_is_not(detector: str, kind: Kind, fields: dict[str, Any]) -> None:
    days = [act(kind, minute=DAY * day, actor=ANN, approval=YES if day < 12 else None, **fields) for day in range(14)]
    assert [each[-4:] for each in told(detector, days)] == ["SEV4"] * 12 + ["SEV3"] * 2
    noon = [act(kind, minute=float(i), actor=ANN, approval=YES if i < 30 else None, **fields) for i in range(31)]
    assert told(detector, noon)[-1].endswith("SEV3")


@pytest.mark.parametrize(
    ("first", "asked"),
    [
        ({"records": 90, "target": Target("mail://x", container_size=100)}, None),
        ({"records": 90}, Approval(required=True)),
    ],
)
def test_a_key_is_told_though_a_flood_of_deletions_was_just_told(first: dict[str, Any], asked: Any) -> None:
    flood = sample(0, kind="delete", action="delete_mail", approval=asked, **first)
    key = act("delete", "kms:ScheduleKeyDeletion", 0.2, records=1, approval=asked)
    assert told("mass_deletion", [flood, key])[-1] == "irreversible SEV3"


@pytest.mark.parametrize(
    ("detector", "event", "words"),
    [
        ("mass_deletion", act("delete", "repo.archived", 0), "archived a repo, x://thing (repo.archived), and with it"),
        ("mass_deletion", act("delete", "repo.archived", 0), "everything in it, which can still be called back;"),
        ("mass_deletion", act("delete", "repo.archived", 0), "it had done so on no day before, 3 make a habit"),
        ("mass_deletion", act("delete", "kms:ScheduleKeyDeletion", 0), "set a day for the end of a kms key"),
        ("mass_deletion", act("delete", "s3:DeleteBucket", 0), "destroyed a bucket"),
        ("identity_misuse", act("access", "get", 0, actor=Actor(id="system:anonymous"), attributes={"anonymous": True}),
         "system:anonymous got in without saying who it is: get on x://thing; never seen before"),
        ("identity_misuse", act("permission", "iam:AttachUserPolicy", 0, attributes={"alarm": True}),
         "did or reported what its source calls suspicious"),
        ("permission_change", act("permission", "add", 0, permission=Permission("grant", None, "unknown", None, "*:*")),
         "x://thing (grant of *:*), which gives *:*"),
    ],
)  # fmt: skip
def test_a_reason_reads_as_it_was(detector: str, event: Event, words: str) -> None:
    ((finding,),) = run(detector, [event])
    assert words in finding.reason


@pytest.mark.parametrize(("zone", "told_place"), [("internal", None), ("external", "444455556666")])
def test_ones_own_account_is_no_place_that_a_copy_went_to(zone: Any, told_place: str | None) -> None:
    to = Destination(account="444455556666", zone=zone)
    ((finding,),) = run("bulk_export", [act("transfer", "rds:CreateDBSnapshot", 0, destination=to)])
    assert finding.evidence["place"] == told_place
    assert ("444455556666" in finding.reason) == (told_place is not None)
