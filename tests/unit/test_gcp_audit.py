"""What Cloud Audit Logs entries mean, each with a benign twin."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from detector.events import Event, Permission, Reject
from detector.formats.gcp_audit import decode
from detector.formats.parts import events_of
from tests.support.audit_logs import ROBOT, deltas, gcp

ACCOUNT = f"projects/-/serviceAccounts/{ROBOT}"
COMPUTE, LOGGING = "compute", "logging"


def events(raw: bytes) -> tuple[Event, ...]:
    answer = decode(raw)
    assert not isinstance(answer, Reject), answer
    return events_of(answer)


def only(raw: bytes) -> Event:
    (found,) = events(raw)
    return found


def granted(raw: bytes) -> Permission:
    found = only(raw)
    assert found.kind == "permission"
    assert found.permission is not None
    return found.permission


def policy(*changes: tuple[str, str, str]) -> bytes:
    return gcp("SetIamPolicy", "cloudresourcemanager", serviceData=deltas(*changes))


def request(method: str, service: str, /, **arguments: Any) -> bytes:
    return gcp(method, service, request=arguments)


def test_an_entry_says_who_when_where_and_how_it_ended() -> None:
    found = only(gcp("storage.objects.get", "storage", "projects/_/buckets/b/objects/a/b.csv"))
    assert (found.actor.id, found.actor.kind, found.kind, found.outcome) == (ROBOT, "agent", "access", "success")
    assert found.time == datetime(2026, 3, 2, 9, 0, 0, 123456, UTC)
    assert found.target is not None
    assert found.target.uri == "gs://b/a/b.csv"
    assert found.attributes["source_ip"] == "203.0.113.7"
    assert found.id.endswith("/1a2b3c")
    assert found.destination is None


@pytest.mark.parametrize(
    ("member", "change", "audience", "grantee"),
    [
        ("allUsers", "widen", "public", "allUsers"),
        ("allAuthenticatedUsers", "widen", "public", "allAuthenticatedUsers"),
        ("domain:acme.example", "grant", "org", "acme.example"),
        ("group:ops@acme.example", "grant", "group", "ops@acme.example"),
        ("user:bob@acme.example", "grant", "user", "bob@acme.example"),
        (f"serviceAccount:{ROBOT}", "grant", "user", ROBOT),
    ],
)
def test_a_binding_says_whom_it_lets_in(member: str, change: str, audience: str, grantee: str) -> None:
    found = granted(policy(("ADD", "roles/viewer", member)))
    assert (found.change, found.audience, found.grantee) == (change, audience, grantee)
    assert found.privilege == "roles/viewer"
    assert granted(policy(("REMOVE", "roles/viewer", member))).change == "revoke"


def test_each_changed_binding_is_an_event_of_its_own() -> None:
    found = events(policy(("ADD", "roles/owner", "user:bob@acme.example"), ("REMOVE", "roles/viewer", "allUsers")))
    assert [e.permission.change for e in found if e.permission] == ["grant", "revoke"]
    assert len({e.id for e in found}) == 2


def test_a_policy_without_deltas_is_read_for_what_it_opens() -> None:
    def whole(*members: str) -> bytes:
        bindings = [{"role": "roles/storage.objectViewer", "members": list(members)}]
        return request("storage.setIamPermissions", "storage", policy={"bindings": bindings})

    assert granted(whole("user:a@acme.example", "allUsers")).audience == "public"
    assert granted(whole("user:a@acme.example", "user:b@acme.example")).audience == "unknown"
    assert granted(request("SetIamPolicy", "storage", policy={"bindings": []})).change == "narrow"


def test_a_condition_gives_a_grant_its_end() -> None:
    until = {"expression": 'request.time < timestamp("2026-03-03T00:00:00Z")'}
    delta = {"action": "ADD", "role": "roles/owner", "member": "user:b@acme.example", "condition": until}
    found = granted(gcp("SetIamPolicy", "iam", serviceData={"policyDelta": {"bindingDeltas": [delta]}}))
    assert found.temporary
    assert found.expires_at == datetime(2026, 3, 3, tzinfo=UTC)


def test_an_outsider_is_marked() -> None:
    assert only(policy(("ADD", "roles/viewer", "user:bob@gmail.com"))).attributes["grantee_outside"]
    assert "grantee_outside" not in only(policy(("ADD", "roles/viewer", "user:bob@acme.example"))).attributes


def test_data_access_logs_switched_off() -> None:
    def change(action: str) -> bytes:
        delta = {"action": action, "service": "storage.googleapis.com", "logType": "DATA_READ"}
        return gcp("SetIamPolicy", "iam", serviceData={"policyDelta": {"auditConfigDeltas": [delta]}})

    assert granted(change("REMOVE")).change == "disable"
    assert only(change("ADD")).kind == "call"


@pytest.mark.parametrize(
    ("method", "privilege", "seconds"),
    [
        ("google.iam.admin.v1.CreateServiceAccountKey", "credential:service account key", None),
        ("GenerateAccessToken", "credential:access token", 600),
        ("SignJwt", "credential:access token", 3600),
    ],
)
def test_new_credentials_name_their_account_and_end(method: str, privilege: str, seconds: int | None) -> None:
    service = "iam" if "Key" in method else "iamcredentials"
    lifetime = {"request": {"lifetime": "600s"}} if seconds == 600 else {}
    found = only(gcp(method, service, ACCOUNT, **lifetime))
    assert found.permission is not None
    assert (found.permission.privilege, found.permission.grantee) == (privilege, ROBOT)
    until = found.permission.expires_at
    assert (until and (until - found.time).total_seconds()) == seconds


def test_a_key_taken_back_and_an_account_looked_at() -> None:
    assert granted(gcp("google.iam.admin.v1.DeleteServiceAccountKey", "iam", ACCOUNT)).change == "revoke"
    assert only(gcp("google.iam.admin.v1.GetServiceAccount", "iam", ACCOUNT)).kind == "call"


@pytest.mark.parametrize(
    ("sources", "audience"),
    [(["0.0.0.0/0"], "public"), (["10.0.0.0/8", "::/0"], "public"), (["10.0.0.0/8"], "group")],
)
def test_a_firewall_rule_is_as_open_as_its_sources(sources: list[str], audience: str) -> None:
    ports = [{"IPProtocol": "tcp", "ports": ["22"]}]
    found = granted(request("v1.compute.firewalls.insert", COMPUTE, sourceRanges=sources, alloweds=ports))
    assert (found.audience, found.privilege) == (audience, "ingress tcp:22")


def test_a_denying_firewall_rule_opens_nothing() -> None:
    denied = request(
        "v1.compute.firewalls.insert", COMPUTE, sourceRanges=["0.0.0.0/0"], denieds=[{"IPProtocol": "all"}]
    )
    assert granted(denied).change == "narrow"
    assert granted(request("v1.compute.firewalls.patch", COMPUTE, disabled=True)).change == "disable"


@pytest.mark.parametrize(
    ("off", "on", "safeguard"),
    [
        (
            request("v1.compute.subnetworks.patch", COMPUTE, enableFlowLogs=False),
            request("v1.compute.subnetworks.patch", COMPUTE, enableFlowLogs=True),
            "VPC flow logs",
        ),
        (
            gcp("google.logging.v2.ConfigServiceV2.DeleteSink", LOGGING),
            gcp("google.logging.v2.ConfigServiceV2.GetSink", LOGGING),
            "log sink",
        ),
        (
            request("google.logging.v2.ConfigServiceV2.UpdateSink", LOGGING, sink={"exclusions": [{"filter": "*"}]}),
            request("google.logging.v2.ConfigServiceV2.UpdateSink", LOGGING, sink={}, updateMask="description"),
            "log sink exclusions",
        ),
        (
            request("google.logging.v2.ConfigServiceV2.UpdateBucket", LOGGING, bucket={"retentionDays": 1}),
            request("google.logging.v2.ConfigServiceV2.UpdateBucket", LOGGING, bucket={"retentionDays": 400}),
            "log retention",
        ),
        (
            request("UpdateCryptoKeyVersion", "cloudkms", cryptoKeyVersion={"state": "DISABLED"}),
            request("UpdateCryptoKeyVersion", "cloudkms", cryptoKeyVersion={"state": "ENABLED"}),
            "encryption key",
        ),
        (
            request("OrgPolicy.UpdatePolicy", "orgpolicy", policy={"name": "p/policies/c", "spec": {"reset": True}}),
            request("OrgPolicy.UpdatePolicy", "orgpolicy", policy={"spec": {"rules": [{"enforce": True}]}}),
            "organisation policy c",
        ),
        (
            request("storage.buckets.update", "storage", iamConfiguration={"publicAccessPrevention": "inherited"}),
            request("storage.buckets.update", "storage", iamConfiguration={"publicAccessPrevention": "enforced"}),
            "public access prevention",
        ),
    ],
)
def test_a_safeguard_switched_off_and_its_twin(off: bytes, on: bytes, safeguard: str) -> None:
    found = granted(off)
    assert (found.change, found.privilege) == ("disable", safeguard)
    assert only(on).kind == "call"


def test_a_database_let_to_the_world() -> None:
    def patched(network: str) -> bytes:
        settings = {"ipConfiguration": {"authorizedNetworks": [{"value": network}]}}
        return request("cloudsql.instances.patch", "cloudsql", body={"settings": settings})

    assert granted(patched("0.0.0.0/0")).audience == "public"
    assert granted(patched("198.51.100.0/24")).audience == "group"
    assert only(request("cloudsql.instances.patch", "cloudsql", body={"settings": {}})).kind == "call"


def test_exports_say_where_data_goes() -> None:
    body = {"exportContext": {"uri": "gs://drop/dump.sql"}}
    dumped = only(request("cloudsql.instances.export", "cloudsql", body=body))
    config = {
        "extractConfig": {"destinationUris": ["gs://drop/t-*.csv"], "sourceTable": "projects/p/datasets/d/tables/t"}
    }
    job = {"jobConfig": config, "jobStats": {"totalProcessedBytes": "9000"}}
    method = "google.cloud.bigquery.v2.JobService.InsertJob"
    extracted = only(gcp(method, "bigquery", metadata={"jobChange": {"job": job}}))
    for found in (dumped, extracted):
        assert found.kind == "transfer"
        assert found.destination is not None
        assert found.destination.account == "gs://drop"
    assert extracted.bytes_out == 9000
    assert extracted.target is not None
    assert extracted.target.uri == "gcp://projects/p/datasets/d/tables/t"


@pytest.mark.parametrize(
    ("statement", "kind"), [("SELECT", "access"), ("DROP_TABLE", "delete"), ("INSERT", "call"), ("GRANT", "permission")]
)
def test_a_query_is_what_its_statement_does(statement: str, kind: str) -> None:
    job = {"jobConfig": {"queryConfig": {"statementType": statement}}}
    method = "google.cloud.bigquery.v2.JobService.InsertJob"
    assert only(gcp(method, "bigquery", metadata={"jobChange": {"job": job}})).kind == kind


def test_a_dataset_opened_to_everybody() -> None:
    def dataset(**who: str) -> bytes:
        return request(
            "google.cloud.bigquery.v2.DatasetService.UpdateDataset", "bigquery", access=[{"role": "READER", **who}]
        )

    assert granted(dataset(specialGroup="allAuthenticatedUsers")).audience == "public"
    assert granted(dataset(userByEmail="bob@acme.example")).audience == "unknown"


@pytest.mark.parametrize(
    ("method", "service", "kind"),
    [
        ("storage.objects.delete", "storage", "delete"),
        ("v1.compute.instances.delete", "compute", "delete"),
        ("DestroyCryptoKeyVersion", "cloudkms", "delete"),
        ("google.cloud.secretmanager.v1.SecretManagerService.AccessSecretVersion", "secretmanager", "access"),
        ("Decrypt", "cloudkms", "access"),
        ("v1.compute.instances.get", "compute", "call"),
        ("google.cloud.secretmanager.v1.SecretManagerService.ListSecrets", "secretmanager", "call"),
    ],
)
def test_verbs_destroy_or_read(method: str, service: str, kind: str) -> None:
    found = only(gcp(method, service))
    assert found.kind == kind
    assert found.records == (1 if kind == "delete" else 0)
    assert found.target is not None
    assert found.target.sensitivity == ("restricted" if service in {"secretmanager", "cloudkms"} else "unknown")


def test_what_was_asked_for_speaks_where_the_method_does_not() -> None:
    def asked(permission: str) -> bytes:
        wanted = [{"permission": permission, "granted": True}]
        return gcp("v9.someservice.things.insert", "someservice", authorizationInfo=wanted)

    assert granted(asked("iam.serviceAccounts.actAs")).change == "inherit"
    assert granted(asked("things.setIamPolicy")).privilege == "setIamPolicy"
    assert only(asked("things.create")).kind == "call"


@pytest.mark.parametrize(("code", "outcome"), [(0, "success"), (7, "denied"), (16, "denied"), (5, "failure")])
def test_the_status_tells_how_it_ended(code: int, outcome: str) -> None:
    found = only(gcp("storage.objects.delete", "storage", status={"code": code}))
    assert (found.kind, found.outcome) == ("delete", outcome)


@pytest.mark.parametrize(
    ("who", "kind", "name"),
    [
        ({"principalEmail": "ann@acme.example"}, "human", "ann@acme.example"),
        ({"principalEmail": "service-12@compute-system.iam.gserviceaccount.com"}, "service", None),
        ({"principalEmail": "12@cloudservices.gserviceaccount.com"}, "service", None),
        ({"principalEmail": "12-compute@developer.gserviceaccount.com"}, "agent", None),
        ({"principalSubject": f"serviceAccount:{ROBOT}"}, "agent", ROBOT),
        ({"principalSubject": "principal://iam.googleapis.com/x/workloadIdentityPools/p/subject/a@b"}, "agent", None),
        ({}, "agent", "unknown"),
    ],
)
def test_people_machines_and_google_itself(who: dict[str, str], kind: str, name: str | None) -> None:
    found = only(gcp("storage.objects.get", "storage", authenticationInfo=who)).actor
    assert found.kind == kind
    assert name is None or found.id == name


def test_the_one_behind_a_borrowed_account_is_named() -> None:
    chain = [{"firstPartyPrincipal": {"principalEmail": "ann@acme.example"}}]
    who = {"principalEmail": ROBOT, "serviceAccountDelegationInfo": chain}
    assert only(gcp("storage.objects.get", "storage", authenticationInfo=who)).actor.on_behalf_of == "ann@acme.example"


def test_the_second_entry_of_a_long_operation_counts_nothing_twice() -> None:
    entry = msgspec.json.decode(gcp("v1.compute.instances.delete", "compute"))
    operations = ({"id": "o", "first": True}, {"id": "o", "last": True})
    counts = [only(msgspec.json.encode({**entry, "operation": operation})).records for operation in operations]
    assert counts == [1, 0]


def test_lists_and_answers_of_the_api_hold_many() -> None:
    entry = gcp("storage.objects.get", "storage")
    assert len(events(b"[%s,%s]" % (entry, entry))) == 2
    assert len(events(b'{"entries":[%s]}' % entry)) == 1


def test_no_request_body_is_kept() -> None:
    found = only(request("google.cloud.secretmanager.v1.AddSecretVersion", "secretmanager", payload="hunter2"))
    assert b"hunter2" not in msgspec.json.encode(found)
