"""What each class of OCSF means, by its activity or by the words of an operation, and its benign twin."""

from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import pytest

from detector.events import Actor, Destination, Event
from detector.formats.ocsf import decode
from detector.formats.ocsf.classes import CLASSES
from detector.formats.ocsf.words import act_of
from tests.support.ocsf import AT, BILLING, BOB, ROBOT, call, one, problems, read, record, told

ROBOTS: Final = Actor("svc-7", "agent", session="s-1")


ACCOUNT: Final = {"user": BOB}
TEAM: Final = {"group": {"name": "admins", "uid": "g-1"}}
ADMINS: Final = {"privileges": ["tenant.admin", "billing.read"]}


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (record(3001, 1, **ACCOUNT), ("grant", "user", "account", "bob@acme.example")),
        (record(3001, 4, **ACCOUNT), ("grant", "user", "credential:password", "bob@acme.example")),
        (record(3001, 4, user=ROBOT), ("auth",)),
        (record(3001, 5, **ACCOUNT), ("revoke", "user", "account", "bob@acme.example")),
        (record(3001, 6, **ACCOUNT), ("delete",)),
        (record(3001, 7, **ACCOUNT, policy={"name": "Owner"}), ("grant", "user", "Owner", "bob@acme.example")),
        (record(3001, 8, **ACCOUNT, policy={"name": "Owner"}), ("revoke", "user", "Owner", "bob@acme.example")),
        (record(3001, 10, **ACCOUNT), ("grant", "user", "credential:MFA factor", "bob@acme.example")),
        (record(3001, 11, **ACCOUNT), ("disable", "user", "MFA", "bob@acme.example")),
        (record(3001, 99, **ACCOUNT), ("call",)),
        (record(3002, 1, **ACCOUNT, service={"name": "portal"}), ("auth",)),
        (record(3003, 1, **ACCOUNT, **ADMINS), ("grant", "user", "tenant.admin, billing.read", "bob@acme.example")),
        (record(3003, 1, user=ROBOT, **ADMINS), ("auth",)),
        (record(3004, 9, entity={"name": "dlp", "type_id": 5}), ("disable", "unknown", "Policy dlp", None)),
        (record(3004, 8, entity={"name": "dlp", "type_id": 5}), ("call",)),
        (record(3004, 4, entity={"name": "office", "type_id": 7}), ("disable", "unknown", "Network Zone office", None)),
        (record(3004, 1, entity={"name": "ci", "type": "API Token"}), ("grant", "user", "credential:api token", None)),
        (record(3004, 4, entity={"name": "ci", "type": "API Token"}), ("revoke", "user", "credential:api token", None)),
        (record(3004, 1, entity={"name": "owner of crm", "type": "Role Assignment"}),
         ("grant", "unknown", "owner of crm", None)),
        (record(3004, 4, entity={"name": "wiki", "type": "Workspace"}), ("delete",)),
        (record(3004, 2, entity={"name": "wiki", "type": "Workspace"}), ("access",)),
        (record(3005, 1, **ACCOUNT, **ADMINS, resources=[BILLING]),
         ("grant", "user", "tenant.admin, billing.read", "bob@acme.example")),
        (record(3005, 2, **ACCOUNT, **ADMINS), ("revoke", "user", "tenant.admin, billing.read", "bob@acme.example")),
        (record(3006, 1, **TEAM, privileges=["owner"]), ("grant", "group", "owner", "admins")),
        (record(3006, 3, **TEAM, user=BOB), ("grant", "user", "admins", "bob@acme.example")),
        (record(3006, 4, **TEAM, user=BOB), ("revoke", "user", "admins", "bob@acme.example")),
        (record(3006, 5, **TEAM), ("delete",)),
        (record(3006, 6, **TEAM), ("call",)),
        (record(3006, 7, **TEAM, subgroup={"name": "interns"}), ("grant", "group", "admins", "interns")),
    ],
)  # fmt: skip
def test_identity_and_access(made: dict[str, Any], expected: tuple[str | None, ...]) -> None:
    event = one(made)
    assert told(event) == expected
    assert event.actor == ROBOTS
    assert event.target is not None


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (record(3007, 9, **ACCOUNT), ("grant", "user", "credential:password", "bob@acme.example")),
        (record(3007, 9, user=ROBOT), ("auth",)),
        (record(3007, 16, **ACCOUNT, iam_roles=[{"name": "owner"}]), ("grant", "user", "owner", "bob@acme.example")),
        (record(3007, 17, **ACCOUNT, iam_roles=[{"name": "owner"}]), ("revoke", "user", "owner", "bob@acme.example")),
        (record(3008, 4, iam_role={"name": "ops"}, privileges=["*"]), ("widen", "group", "*", "ops")),
        (record(3008, 5, iam_role={"name": "ops"}, privileges=["*"]), ("revoke", "group", "*", "ops")),
        (record(3008, 3, iam_role={"name": "ops"}), ("delete",)),
    ],
)
def test_users_and_roles_of_the_version_after(made: dict[str, Any], expected: tuple[str, ...]) -> None:
    event = read(made)
    assert told(event) == expected
    assert event.target is not None


@pytest.mark.parametrize(
    ("name", "audience"),
    [("AllUsers", "public"), ("Domain Users", "org"), ("reporter", "user"), ("system:anonymous", "public")],
)
def test_everybody_is_an_audience(name: str, audience: str) -> None:
    made = record(3005, 1, user={"name": name}, privileges=["read"], resources=[BILLING])
    assert told(one(made)) == ("grant", audience, "read", name)


def test_who_helps_himself_is_the_grantee() -> None:
    event = one(record(3005, 1, user=ROBOT, **ADMINS, resources=[BILLING]))
    assert event.permission is not None
    assert event.permission.grantee == event.actor.id


@pytest.mark.parametrize(
    ("made", "expected", "uri"),
    [
        (record(6001, 2, web_resources=[{"name": "p", "url_string": "https://wiki.example/p/7"}]),
         "access", "https://wiki.example/p/7"),
        (record(6001, 7, web_resources=[{"name": "report"}]), "transfer", "ocsf://-/resource/report"),
        (record(6001, 8, web_resources=[{"name": "report"}]), "permission", "ocsf://-/resource/report"),
        (record(6002, 2, app={"name": "crm"}, src_endpoint=None), "delete", "ocsf://-/app/crm"),
        (record(6005, 1, databucket={"name": "lake", "type_id": 1, "file": {"name": "a.csv", "type_id": 1,
                                                                             "path": "in/a.csv"}}),
         "access", "s3://lake/in/a.csv"),
        (record(6005, 4, database={"name": "hr", "type_id": 1}, table={"name": "staff"}),
         "access", "ocsf://-/table/hr/staff"),
        (record(6005, 7, database={"name": "hr", "type_id": 1}), "delete", "ocsf://-/database/hr"),
        (record(6005, 5, database={"name": "hr", "type_id": 1}), "call", "ocsf://-/database/hr"),
        (record(6006, 2, file={"name": "a.doc", "type_id": 1, "uid": "f-7"}), "access", "ocsf://-/file/f-7"),
        (record(6006, 4, file={"name": "a.doc", "type_id": 1}), "delete", "ocsf://-/file/a.doc"),
        (record(6006, 12, file={"name": "a.doc", "type_id": 1}), "permission", "ocsf://-/file/a.doc"),
        (record(6006, 5, file={"name": "a.doc", "type_id": 1}), "call", "ocsf://-/file/a.doc"),
    ],
)  # fmt: skip
def test_data_and_applications(made: dict[str, Any], expected: str, uri: str) -> None:
    if made["class_uid"] in {6001, 6002}:  # these have an actor in the host profile only
        made["metadata"] = {**made["metadata"], "profiles": ["host"]}
    event = one(made)
    assert event.kind == expected
    assert event.target is not None
    assert event.target.uri == uri


def test_a_file_for_everybody_is_public_until_it_is_unshared() -> None:
    def shared(activity: int, *, public: bool) -> Event:
        made = record(
            6006, activity, file={"name": "a.doc", "type_id": 1, "is_public": public}, cloud={"provider": "A"}
        )
        made["metadata"] = {**made["metadata"], "profiles": ["cloud"]}
        return one(made)

    assert told(shared(12, public=True)) == ("widen", "public", "share", None)
    assert told(shared(12, public=False)) == ("widen", "unknown", "share", None)
    assert told(shared(13, public=True)) == ("narrow", "unknown", "share", None)


def test_a_grant_that_ends_says_when() -> None:
    permission = one(record(6006, 12, file={"name": "a.doc", "type_id": 1}, expiration_time=AT)).permission
    assert permission is not None
    assert permission.expires_at == datetime(2026, 3, 2, 9, 0, 0, 123_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        ("CreateApiToken", ("grant", "user", "credential:api token")),
        ("api_keys.rotate", ("grant", "user", "credential:api key")),
        ("RevokeApiToken", ("revoke", "user", "credential:api token")),
        ("ListApiTokens", ("access",)),
        ("audit-log.disable", ("disable", "unknown", "audit log")),
        ("turnOffMfa", ("disable", "unknown", "mfa")),
        ("audit-log.search", ("access",)),
        ("LogOff", ("call",)),
        ("acme.iam.v1.Policies.SetIamPolicy", ("widen", "unknown", "acme.iam.v1.Policies.SetIamPolicy")),
        ("AddRoleMember", ("grant", "unknown", "AddRoleMember")),
        ("RemoveRoleMember", ("revoke", "unknown", "RemoveRoleMember")),
        ("MakeProjectPublic", ("widen", "public", "MakeProjectPublic")),
        ("promote_to_admin", ("grant", "unknown", "promote_to_admin")),
        ("UpdateAdminSettings", ("call",)),
        ("ExportTable", ("transfer",)),
        ("PurgeQueue", ("delete",)),
        ("UpdateProfile", ("call",)),
        ("CreateView", ("call",)),
        ("ListExportJobs", ("access",)),
        ("ShareDocument", ("grant", "unknown", "ShareDocument")),
        ("BlockPublicAccess", ("narrow", "public", "BlockPublicAccess")),
        ("DeletePublicAccessBlock", ("widen", "public", "DeletePublicAccessBlock")),
        ("DisablePublicSharing", ("narrow", "public", "DisablePublicSharing")),
        ("CreatePublicIp", ("call",)),
        ("ClearAuditLog", ("disable", "unknown", "audit log")),
        ("ClearAlert", ("call",)),
        ("PutKey", ("call",)),
        ("AddForeignKey", ("call",)),
        ("GenerateKey", ("grant", "user", "credential:key")),
        ("ResetClientSecret", ("grant", "user", "credential:client secret")),
    ],
)
def test_an_operation_is_read_by_its_words(operation: str, expected: tuple[str, ...]) -> None:
    assert told(one(call(operation)))[:3] == expected


def test_the_type_of_the_resource_says_what_a_verb_is_done_to() -> None:
    secret = one(call("get", 2, resources=[{"name": "db", "namespace": "shop", "type": "secrets"}]))
    assert secret.target is not None
    assert (secret.kind, secret.target.uri, secret.target.sensitivity) == (
        "access", "ocsf://-/secrets/shop/db", "restricted",
    )  # fmt: skip
    binding = [{"name": "ops", "type": "clusterrolebindings"}]
    assert told(one(call("create", 1, resources=binding)))[0] == "widen"
    assert told(one(call("delete", 4, resources=binding)))[0] == "revoke"
    assert told(one(call("delete", 4, resources=[{"name": "web", "type": "pods"}]))) == ("delete",)
    assert told(one(call("DeleteTags", 4, resources=[{"name": "web", "type": "Log Group"}]))) == ("delete",)
    assert told(one(call("frobnicate", 4))) == ("delete",)


def test_network_events_count_where_they_name_an_actor() -> None:
    sent = {"traffic": {"bytes_out": 9_000, "bytes_in": 10}, "dst_endpoint": {"hostname": "drop.example"}}
    event = read(
        record(
            4002, 6, **sent, http_request={"http_method": "POST", "url": {"url_string": "https://drop.example/u?k=1"}}
        )
    )
    assert (event.kind, event.bytes_out, event.bytes_in) == ("transfer", 9_000, 10)
    assert event.destination == Destination("drop.example")
    assert event.target is not None
    assert event.target.uri == "https://drop.example/u"
    assert read(record(4002, 3, **sent)).kind == "call"
    assert read(record(4001, 6, **sent, connection_info={"direction_id": 1})).destination is None
    assert decode(msgspec.json.encode(record(4001, 6, **sent, actor=None))) == ()


@pytest.mark.parametrize("class_uid", [2001, 2004, 1007, 5001, 6008, 99999])
def test_other_classes_are_passed_over(class_uid: int) -> None:
    assert decode(msgspec.json.encode(record(class_uid, 1))) == ()
    assert decode(msgspec.json.encode(record(class_uid, 1, api="of its own", user=7))) == ()


def test_the_table_names_activities_that_the_schema_has() -> None:
    for class_uid, about in CLASSES.items():
        if class_uid in {3007, 3008}:  # later than the schema at hand
            continue
        for activity in about.acts:
            found = problems({"class_uid": class_uid, "activity_id": activity})
            assert not [problem for problem in found if problem.startswith("$.activity_id")], (class_uid, activity)
    assert problems({"class_uid": 6003, "activity_id": 55})[0].startswith("$.activity_id")


def test_words_of_any_length_are_answered() -> None:
    assert act_of("disable." * 100_000 + "audit log", "x" * 100_000) is not None
