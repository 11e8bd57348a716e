"""The kubernetes format on pods that get their node, credentials, safeguards and ways in."""

from datetime import UTC, datetime
from typing import Any

import pytest

from detector.events import Permission
from detector.reach import privilege_weight
from tests.support.kubernetes import one, permission, pod

ENFORCE = "pod-security.kubernetes.io/enforce"
ENFORCE_PATH = "/metadata/labels/pod-security.kubernetes.io~1enforce"


@pytest.mark.parametrize(
    ("body", "held"),
    [
        (pod({"securityContext": {"privileged": True}}), "privileged container"),
        (pod({"securityContext": {"capabilities": {"add": ["CAP_SYS_ADMIN"]}}}), "capability SYS_ADMIN"),
        (pod(hostPID=True), "hostPID"),
        (pod(hostNetwork=True), "hostNetwork"),
        (pod(volumes=[{"name": "v", "hostPath": {"path": "/etc"}}]), "hostPath /etc"),
        (pod(initContainers=[{"securityContext": {"privileged": True}}]), "privileged container"),
        (pod(ephemeralContainers=[{"securityContext": {"privileged": True}}]), "privileged container"),
        (pod({"securityContext": {"privileged": False}}), None),
        (pod({"securityContext": {"capabilities": {"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]}}}), None),
        (pod(hostNetwork=False, volumes=[{"name": "v", "emptyDir": {}}]), None),
    ],
)
@pytest.mark.parametrize("resource", ["pods", "deployments", "jobs", "cronjobs"])
def test_a_pod_that_gets_its_node_is_a_grant(resource: str, body: dict[str, Any], held: str | None) -> None:
    whole: dict[str, Any] = {"spec": body["spec"]}
    if resource != "pods":
        whole = {"spec": {"replicas": 1, "template": whole}}
    if resource == "cronjobs":
        whole = {"spec": {"schedule": "@daily", "jobTemplate": whole}}
    event = one("create", resource, whole, namespace="web")
    if held is None and resource == "cronjobs":  # it will come back by itself, which is a right of its own
        held = "scheduled job"
        assert event.permission is not None
        assert event.permission.privilege == held
        return
    if held is None:
        assert (event.kind, event.permission) == ("call", None)
        return
    assert event.permission is not None
    assert (event.kind, event.permission.privilege) == ("permission", f"elevated: {held}")
    assert event.permission.grantee == "system:serviceaccount:web:default"


def test_the_control_plane_copies_what_others_wrote() -> None:
    body = pod({"securityContext": {"privileged": True}})
    assert one("create", "pods", body, user="system:node:n-1").kind == "call"
    assert one("create", "pods", body, user="system:serviceaccount:kube-system:daemon-set-controller").kind == "call"


def test_a_token_is_a_credential_that_ends() -> None:
    body = {"spec": {"audiences": ["api"], "expirationSeconds": 3600}}
    answer = {"status": {"token": "eyJ-secret", "expirationTimestamp": "2026-03-02T12:00:00Z"}}
    found = permission("create", "serviceaccounts/token", body, namespace="web", name="bot")
    assert found.grantee == "system:serviceaccount:web:bot"
    assert found.privilege == "credential:service account token"
    assert found.expires_at == datetime(2026, 3, 2, 10, 0, 0, 123456, UTC)
    told = one("create", "serviceaccounts/token", body, namespace="web", name="bot", responseObject=answer)
    assert told.permission is not None
    assert told.permission.expires_at == datetime(2026, 3, 2, 12, tzinfo=UTC)
    assert "eyJ" not in repr(told)
    assert one("create", "serviceaccounts/token", body, user="system:node:n-1").kind == "call"


def test_a_secret_of_the_token_type_is_a_credential() -> None:
    body = {
        "type": "kubernetes.io/service-account-token",
        "metadata": {"annotations": {"kubernetes.io/service-account.name": "bot"}},
        "data": {"token": "c2VjcmV0"},
    }
    event = one("create", "secrets", body, namespace="web")
    assert event.permission is not None
    assert event.permission.privilege == "credential:service account token"
    assert event.permission.grantee == "system:serviceaccount:web:bot"
    assert "c2VjcmV0" not in repr(event)
    assert one("create", "secrets", body | {"type": "Opaque"}).kind == "call"


def test_a_certificate_approved_is_a_credential() -> None:
    body = {
        "spec": {"username": "mallory", "signerName": "kubernetes.io/kube-apiserver-client"},
        "status": {"conditions": [{"type": "Approved"}]},
    }
    found = permission("update", "certificatesigningrequests/approval", body)
    assert found.grantee == "mallory"
    assert found.privilege.startswith("credential:client certificate")
    denied = body | {"status": {"conditions": [{"type": "Denied"}]}}
    assert one("update", "certificatesigningrequests/approval", denied).kind == "call"


def test_the_user_map_of_eks_is_a_grant() -> None:
    masters = {"data": {"mapRoles": "- groups: [system:masters]"}}
    found = permission("patch", "configmaps", masters, namespace="kube-system", name="aws-auth")
    assert privilege_weight(found.privilege) >= 1.0
    nodes = {"data": {"mapRoles": "- groups: [system:nodes]"}}
    found = permission("patch", "configmaps", nodes, namespace="kube-system", name="aws-auth")
    assert privilege_weight(found.privilege) < 1.0
    assert one("patch", "configmaps", masters, namespace="web", name="aws-auth").kind == "call"


@pytest.mark.parametrize(
    ("verb", "resource", "body", "safeguard"),
    [
        ("delete", "validatingwebhookconfigurations", None, "admission webhook"),
        ("deletecollection", "networkpolicies", None, "network policy"),
        ("delete", "auditsinks", None, "audit log"),
        ("patch", "auditsinks", {"spec": {"policy": {"level": "None"}}}, "audit log"),
        ("delete", "validatingadmissionpolicybindings", None, "admission policy"),
        ("patch", "validatingadmissionpolicybindings", {"spec": {"validationActions": ["Audit"]}}, "admission policy"),
        ("patch", "validatingadmissionpolicybindings", {"spec": {"validationActions": ["Deny"]}}, None),
        ("patch", "validatingwebhookconfigurations", {"webhooks": [{"failurePolicy": "Ignore"}]}, "admission webhook"),
        ("patch", "validatingwebhookconfigurations", {"webhooks": []}, "admission webhook"),
        ("patch", "validatingwebhookconfigurations", {"webhooks": [{"clientConfig": {"caBundle": "x"}}]}, None),
        ("patch", "validatingwebhookconfigurations", {"metadata": {"labels": {"a": "b"}}}, None),
        ("patch", "namespaces", {"metadata": {"labels": {ENFORCE: "privileged"}}}, "pod security"),
        ("patch", "namespaces", {"metadata": {"labels": {ENFORCE: None}}}, "pod security"),
        ("patch", "namespaces", [{"op": "add", "path": ENFORCE_PATH, "value": "privileged"}], "pod security"),
        ("create", "namespaces", {"metadata": {"labels": {ENFORCE: "privileged"}}}, None),
        ("create", "auditsinks", {"spec": {"webhook": {}}}, None),
        ("patch", "namespaces", [{"op": "remove", "path": ENFORCE_PATH}], "pod security"),
        ("patch", "namespaces", {"metadata": {"labels": {ENFORCE: "baseline"}}}, None),
    ],
)  # fmt: skip
def test_a_safeguard_switched_off(verb: str, resource: str, body: Any, safeguard: str | None) -> None:
    event = one(verb, resource, body)
    if safeguard is None:
        assert event.kind == "call"
    else:
        assert event.permission == Permission("disable", privilege=safeguard)


def test_a_new_webhook_sees_all_that_it_asks_for() -> None:
    body: Any = {"webhooks": [{"rules": [{}], "clientConfig": {"url": "https://drop.example:8443/v"}}]}
    event = one("create", "mutatingwebhookconfigurations", body)
    assert event.permission is not None
    assert privilege_weight(event.permission.privilege) >= 1.0
    assert event.destination is not None
    assert event.destination.host == "drop.example"


@pytest.mark.parametrize(
    ("resource", "body", "audience"),
    [
        ("services", {"spec": {"type": "LoadBalancer"}}, "public"),
        ("services", {"spec": {"type": "LoadBalancer", "loadBalancerSourceRanges": ["10.0.0.0/8"]}}, "org"),
        ("services", {"spec": {"type": "LoadBalancer", "loadBalancerSourceRanges": ["0.0.0.0/0"]}}, "public"),
        ("services", {"spec": {"type": "NodePort"}}, "org"),
        ("services", {"spec": {"type": "ClusterIP"}}, None),
        ("ingresses", {"metadata": {"annotations": {"alb.ingress.kubernetes.io/scheme": "internet-facing"}}}, "public"),
        ("ingresses", {"metadata": {}}, None),
        ("networkpolicies", {"spec": {"ingress": [{}]}}, "org"),
    ],
)
def test_a_way_in_from_outside(resource: str, body: Any, audience: str | None) -> None:
    event = one("create", resource, body)
    assert (event.permission.audience if event.permission else None) == audience


def test_a_load_balancer_kept_inside() -> None:
    notes: dict[str, str] = {"service.beta.kubernetes.io/aws-load-balancer-scheme": "internal"}
    body: Any = {"metadata": {"annotations": notes}, "spec": {"type": "LoadBalancer"}}
    assert permission("create", "services", body).audience == "org"
    assert permission("patch", "services", {"spec": {"type": "LoadBalancer"}}, responseObject=body).audience == "org"


def test_a_network_policy_narrows() -> None:
    body: Any = {"spec": {"ingress": [{"from": [{"podSelector": {}}]}]}}
    assert permission("create", "networkpolicies", body).change == "narrow"
