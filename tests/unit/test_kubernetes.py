"""The kubernetes format: audit.k8s.io events, bare and as the clouds ship them."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.events import Event, Reject
from detector.formats.kubernetes import decode
from detector.formats.kubernetes.events import MEANINGS
from detector.formats.parts import Part, events_of
from tests.support.kubernetes import audited, binding, one, raw

MALLORY = {"kind": "User", "name": "mallory"}
RULES = "rbac.authorization.k8s.io"
KEYS = (
    *("op", "path", "value", "rules", "verbs", "resources", "apiGroups", "subjects", "kind", "name", "roleRef"),
    *("metadata", "labels", "annotations", "spec", "status", "containers", "template", "volumes", "hostPath"),
    *("type", "data", "webhooks", "failurePolicy", "ingress", "from", "conditions"),
)
BUILT_IN = "system:serviceaccount:kube-system"


def events(message: Any) -> tuple[Event, ...]:
    decoded = decode(raw(message))
    assert isinstance(decoded, tuple), decoded
    return events_of(decoded)


def refused(message: Any) -> str:
    decoded = decode(raw(message))
    parts = decoded if isinstance(decoded, tuple) else (decoded,)
    (reject,) = [part.content if isinstance(part, Part) else part for part in parts]
    assert isinstance(reject, Reject), decoded
    return reject.reason


def test_a_request_is_named_placed_and_timed() -> None:
    event = one("get", "pods", namespace="web", name="front-0")
    assert event.id == "cluster/a-1"
    assert event.time == datetime(2026, 3, 2, 9, 0, 0, 123456, UTC)
    assert (event.kind, event.action, event.outcome) == ("access", "get pods", "success")
    assert event.target is not None
    assert (event.target.uri, event.target.type) == ("k8s://cluster/web/pods/front-0", "pods")
    assert "'k8s://cluster/-/namespaces/web'" in repr(one("delete", "namespaces", namespace="web", name="web"))
    assert event.attributes == {
        "cluster": "cluster",
        "source_ip": "198.51.100.7",
        "user_agent": "kubectl/v1.31.0",
        "groups": ["system:authenticated"],
        "status_code": 200,
    }


@pytest.mark.parametrize(
    ("verb", "resource", "kind"),
    [
        ("list", "pods", "access"),
        ("watch", "configmaps", "access"),
        ("get", "pods/log", "access"),
        ("get", "pods/status", "access"),
        ("create", "pods/exec", "call"),
        ("get", "pods/exec", "call"),
        ("create", "pods/portforward", "call"),
        ("update", "pods/status", "call"),
        ("create", "configmaps", "call"),
        ("patch", "widgets", "call"),
        ("delete", "namespaces", "delete"),
        ("delete", "persistentvolumes", "delete"),
        ("deletecollection", "pods", "delete"),
        ("create", "pods/eviction", "delete"),
    ],
)
def test_the_verb_and_the_resource_say_the_kind(verb: str, resource: str, kind: str) -> None:
    event = one(verb, resource)
    assert event.kind == kind
    assert event.permission is None
    assert event.records == (kind == "delete")


@pytest.mark.parametrize(("resource", "sensitivity"), [("secrets", "restricted"), ("configmaps", "unknown")])
def test_secrets_are_restricted(resource: str, sensitivity: str) -> None:
    for verb in ("get", "list", "watch", "delete", "patch"):
        target = one(verb, resource).target
        assert target is not None
        assert target.sensitivity == sensitivity


@pytest.mark.parametrize("stage", ["RequestReceived", "ResponseStarted"])
def test_what_is_not_over_is_passed_over(stage: str) -> None:
    assert events(audited("delete", "pods", stage=stage)) == ()
    assert len(events(audited("delete", "pods", stage="Panic"))) == 1


@pytest.mark.parametrize("path", ["/healthz", "/livez/ping", "/readyz?verbose"])
def test_a_probe_is_nobodys_act(path: str) -> None:
    assert events(audited("get", "pods", objectRef=None, requestURI=path)) == ()
    assert len(events(audited("get", "pods", objectRef=None, requestURI="/version"))) == 1


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({"code": 201}, "success"),
        ({"responseStatus": None}, "success"),
        ({"code": 403}, "denied"),
        ({"code": 401}, "denied"),
        ({"annotations": {"authorization.k8s.io/decision": "forbid"}}, "denied"),
        ({"code": 409}, "failure"),
        ({"responseStatus": {"status": "Failure"}}, "failure"),
        ({"stage": "Panic"}, "failure"),
    ],
)
def test_the_answer_says_the_outcome(changes: dict[str, Any], outcome: str) -> None:
    assert one("create", "clusterrolebindings", binding("cluster-admin", MALLORY), **changes).outcome == outcome


def test_a_dry_run_changes_nothing() -> None:
    body = binding("cluster-admin", MALLORY)
    event = one("create", "clusterrolebindings", body, requestURI="/apis/x?dryRun=All")
    assert (event.kind, event.permission, event.attributes["dry_run"]) == ("call", None, True)


@pytest.mark.parametrize(
    ("user", "who", "kind"),
    [
        ("system:serviceaccount:web:bot", "system:serviceaccount:web:bot", "agent"),
        (f"{BUILT_IN}:job-controller", f"{BUILT_IN}:job-controller", "service"),
        (f"{BUILT_IN}:tiller", f"{BUILT_IN}:tiller", "agent"),
        ("system:serviceaccount:web:job-controller", "system:serviceaccount:web:job-controller", "agent"),
        ("system:node:n-1", "system:node:n-1", "service"),
        ("system:kube-scheduler", "system:kube-scheduler", "service"),
        ("system:anonymous", "system:anonymous", "agent"),
        ("system:admin", "system:admin", "agent"),
        ("kubernetes-admin", "kubernetes-admin", "agent"),
        ("ann@corp.example", "ann@corp.example", "human"),
        ("bot@project.iam.gserviceaccount.com", "bot@project.iam.gserviceaccount.com", "agent"),
        ("arn:aws:sts::1234:assumed-role/ops/run-7", "arn:aws:iam::1234:role/ops", "agent"),
    ],
)
def test_who_acts(user: str, who: str, kind: str) -> None:
    actor = one("get", "pods", user=user).actor
    assert (actor.id, actor.kind, actor.role) == (who, kind, "")
    assert actor.session == ("run-7" if "run-7" in user else None)


def test_a_tokens_pod_is_the_session() -> None:
    user = {"username": "system:serviceaccount:web:bot", "extra": {"authentication.kubernetes.io/pod-name": ["bot-0"]}}
    (event,) = events(audited("get", "pods") | {"user": user})
    assert event.actor.session == "bot-0"


def test_impersonation_is_on_behalf_of_another() -> None:
    event = one("get", "secrets", impersonatedUser={"username": "root", "groups": ["system:masters"]})
    assert (event.actor.id, event.actor.on_behalf_of) == ("ops-bot", "root")
    assert event.attributes["impersonated_groups"] == ["system:masters"]


def test_anonymous_reach_into_the_cluster_is_noted() -> None:
    assert one("list", "pods", user="system:anonymous").attributes["anonymous"] is True
    version = audited("get", "pods", user="system:anonymous", objectRef=None, requestURI="/version")
    assert "anonymous" not in events(version)[0].attributes


def test_a_list_holds_several_events() -> None:
    items = [audited("get", "pods", auditID="a"), audited("get", "pods", auditID="b", stage="RequestReceived")]
    found = events({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": [*items, audited("delete", "pods")]})
    assert [event.id for event in found] == ["cluster/a", "cluster/a-1"]


def test_a_bad_event_of_a_list_is_refused_alone_with_its_own_bytes() -> None:
    items = [audited("get", "pods", auditID="a"), {"kind": "Event", "user": 7}, audited("get", "pods", auditID="b")]
    decoded = decode(raw({"kind": "EventList", "items": items}))
    assert isinstance(decoded, tuple)
    parts = [part for part in decoded if isinstance(part, Part)]
    assert [part.raw for part in parts] == [raw(item) for item in items]
    assert [type(part.content) for part in parts] == [Event, Reject, Event]
    assert parts[0].content == events(items[0])[0]


def test_events_without_ids_get_different_ones_that_repeat() -> None:
    items = [audited("get", "pods", auditID=None), audited("get", "pods", auditID=None)]
    message = {"kind": "EventList", "items": items}
    ids = [event.id for event in events(message)]
    assert len(set(ids)) == 2
    assert ids == [event.id for event in events(message)]


def test_cloudwatch_names_the_cluster() -> None:
    inner = json.dumps(audited("delete", "pods", name="p", namespace="web"))
    message = {
        "messageType": "DATA_MESSAGE",
        "logGroup": "/aws/eks/prod/cluster",
        "logStream": "kube-apiserver-audit-0a1b",
        "logEvents": [{"id": "1", "timestamp": 1772442000000, "message": inner}],
    }
    (event,) = events(message)
    assert event.target is not None
    assert (event.id, event.target.uri) == ("prod/a-1", "k8s://prod/web/pods/p")
    other = message | {"logStream": "kube-scheduler-0a1b", "logEvents": [{"message": "I0302 leader elected"}]}
    assert events(other) == ()
    assert events({"messageType": "CONTROL_MESSAGE", "logGroup": "x"}) == ()
    assert refused(message | {"logEvents": [{"message": "no"}]}) == "not_json"


def test_azure_puts_the_event_into_a_string() -> None:
    inner = audited("delete", "pods", requestReceivedTimestamp=None, stageTimestamp=None)
    record = {
        "category": "kube-audit",
        "time": "2026-03-02T09:00:00Z",
        "resourceId": "/SUBSCRIPTIONS/S/PROVIDERS/MICROSOFT.CONTAINERSERVICE/MANAGEDCLUSTERS/PROD",
        "properties": {"log": json.dumps(inner)},
    }
    for message in (record, {"records": [record, {"category": "kube-scheduler", "properties": {"log": "I0302"}}]}):
        (event,) = events(message)
        assert (event.id, event.time) == ("prod/a-1", datetime(2026, 3, 2, 9, tzinfo=UTC))


def gke(method: str, resource: str, **payload: Any) -> dict[str, Any]:
    return {
        "insertId": "i-1",
        "timestamp": "2026-03-02T09:00:00Z",
        "resource": {"type": "k8s_cluster", "labels": {"cluster_name": "prod", "project_id": "shop"}},
        "protoPayload": {
            "serviceName": "k8s.io",
            "methodName": method,
            "resourceName": resource,
            "authenticationInfo": {"principalEmail": "system:serviceaccount:web:bot"},
            "requestMetadata": {"callerIp": "198.51.100.7"},
            **payload,
        },
    }


def test_google_names_things_otherwise() -> None:
    (event,) = events(gke("io.k8s.core.v1.pods.exec.create", "core/v1/namespaces/web/pods/a/exec"))
    assert event.target is not None
    assert (event.action, event.target.uri) == ("create pods/exec", "k8s://prod/web/pods/a")
    assert (event.id, event.actor.id) == ("prod/shop/i-1", "system:serviceaccount:web:bot")
    everybody = binding("edit", {"kind": "Group", "name": "system:authenticated"})
    place = f"{RULES}/v1/clusterrolebindings/all"
    (event,) = events(gke("io.k8s.rbac.v1.clusterrolebindings.create", place, request=everybody))
    assert event.permission is not None
    assert event.permission.audience == "public"
    (event,) = events(gke("io.k8s.core.v1.secrets.list", "core/v1/secrets", status={"code": 7}))
    assert event.outcome == "denied"
    (event,) = events(gke("io.k8s.core.v1.secrets.list", "core/v1/secrets", authorizationInfo=[{"granted": False}]))
    assert event.outcome == "denied"
    assert (
        refused(gke("io.k8s.core.v1.secrets.list", "core/v1/secrets", serviceName="storage.googleapis.com"))
        == "wrong_shape"
    )


def test_an_event_without_a_time_says_so() -> None:
    event = one("get", "pods", requestReceivedTimestamp=None, stageTimestamp=None)
    assert event.attributes["undated"] is True
    assert one("get", "pods", requestReceivedTimestamp=None).attributes.get("undated") is None


@pytest.mark.parametrize(
    "message",
    [
        {"kind": "Pod", "apiVersion": "v1", "metadata": {}},
        {"kind": "Event", "apiVersion": "v1", "reason": "Killing"},
        {"kind": "EventList", "apiVersion": "v1"},
        audited("get", "pods") | {"user": None},
        audited("get", "pods") | {"user": {"username": " "}},
        audited("get", "pods", requestReceivedTimestamp="yesterday"),
        audited("get", "pods", requestReceivedTimestamp="0001-01-01T00:00:00+14:00"),
        audited("get", "pods", objectRef=[]),
        [],
    ],
)
def test_what_is_no_audit_event_is_refused(message: Any) -> None:
    assert refused(message) == "wrong_shape"


def test_an_object_of_another_shape_leaves_the_act() -> None:
    for body in ({"rules": "all"}, [], [1], "x", {"rules": [{"verbs": [1]}]}, [{"op": "add", "path": 3}]):
        event = one("create", "clusterroles", body)
        assert event.action == "create clusterroles"


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["", "*", "add", "/rules/-", "/subjects/0/name", "x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=8,
)


@settings(deadline=None)
@given(body=anything, verb=st.sampled_from(["create", "update", "patch"]), resource=st.sampled_from(sorted(MEANINGS)))
def test_whatever_a_request_carries_it_is_one_act(body: Any, verb: str, resource: str) -> None:
    event = one(verb, resource, body, responseObject=body)
    assert msgspec.json.decode(msgspec.json.encode(event), type=Event) == event


def test_long_names_are_cut_to_what_an_event_holds() -> None:
    event = one("get", "pods", name="p" * 9000, user="u" * 9000, userAgent="a" * 9000, auditID="i" * 9000)
    assert event.target is not None
    assert (len(event.target.uri), len(event.actor.id), len(event.id)) == (4096, 512, 512)
    assert len(event.attributes["user_agent"]) == 256
