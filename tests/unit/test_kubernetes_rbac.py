"""The kubernetes format on RBAC: what roles allow, and to whom bindings give it."""

from typing import Any

import pytest

from detector.events import Permission
from detector.reach import privilege_weight
from tests.support.kubernetes import binding, one, permission, rule

MALLORY = {"kind": "User", "name": "mallory"}
RULES = "rbac.authorization.k8s.io"


@pytest.mark.parametrize(
    ("subject", "audience", "grantee"),
    [
        (MALLORY, "user", "mallory"),
        ({"kind": "Group", "name": "devs"}, "group", "devs"),
        ({"kind": "ServiceAccount", "name": "bot", "namespace": "web"}, "user", "system:serviceaccount:web:bot"),
        ({"kind": "ServiceAccount", "name": "default"}, "group", "system:serviceaccount:shop:default"),
        ({"kind": "Group", "name": "system:authenticated"}, "org", "system:authenticated"),
        ({"kind": "Group", "name": "system:unauthenticated"}, "public", "system:unauthenticated"),
        ({"kind": "User", "name": "system:anonymous"}, "public", "system:anonymous"),
    ],
)
def test_a_binding_grants_its_widest_subject(subject: dict[str, str], audience: str, grantee: str) -> None:
    both = binding("view", {"kind": "User", "name": "zoe"}, subject)
    found = permission("create", "rolebindings", both, namespace="shop")
    assert (found.change, found.privilege) == ("grant", "view")
    if audience != "user":
        assert (found.audience, found.grantee) == (audience, grantee)
    alone = permission("create", "rolebindings", binding("view", subject), namespace="shop")
    assert (alone.audience, alone.grantee) == (audience, grantee)


def test_a_grant_to_oneself_comes_before_others() -> None:
    both = binding("view", MALLORY, {"kind": "User", "name": "ops-bot"})
    event = one("create", "clusterrolebindings", both)
    assert event.permission is not None
    assert event.permission.grantee == "ops-bot"
    assert event.attributes["subjects"] == "mallory, ops-bot"


@pytest.mark.parametrize(
    ("role", "full"),
    [
        ("cluster-admin", True),
        ("admin", True),
        ("system:kube-scheduler", True),
        ("system:controller:job-controller", True),
        ("edit", False),
        ("view", False),
        ("system:monitoring", False),
    ],
)
def test_roles_of_the_control_plane_weigh_as_much_as_admin(role: str, full: bool) -> None:
    found = permission("create", "clusterrolebindings", binding(role, MALLORY))
    assert role in found.privilege
    assert (privilege_weight(found.privilege) >= 1.0) is full


def test_what_every_cluster_shows_to_all_is_public_by_nature() -> None:
    everybody = {"kind": "Group", "name": "system:unauthenticated"}
    for role, sensitivity in (("system:public-info-viewer", "public"), ("view", "unknown")):
        target = one("create", "clusterrolebindings", binding(role, everybody)).target
        assert target is not None
        assert target.sensitivity == sensitivity


def test_a_binding_without_subjects_gives_nothing() -> None:
    event = one("create", "clusterrolebindings", binding("cluster-admin"))
    assert (event.kind, event.permission) == ("call", None)


def test_a_binding_that_is_not_logged_is_a_grant_of_we_know_not_what() -> None:
    assert permission("create", "clusterrolebindings") == Permission("grant")


@pytest.mark.parametrize(
    ("patch", "kind", "change"),
    [
        ({"subjects": [MALLORY]}, "permission", "grant"),
        ([{"op": "add", "path": "/subjects/-", "value": MALLORY}], "permission", "grant"),
        ([{"op": "remove", "path": "/subjects/0"}], "permission", "revoke"),
        ({"subjects": None}, "permission", "revoke"),
        ({"metadata": {"labels": {"team": "a"}}}, "call", None),
    ],
)
def test_a_patched_binding(patch: Any, kind: str, change: str | None) -> None:
    whole = binding("cluster-admin", MALLORY)
    event = one("patch", "clusterrolebindings", patch, responseObject=whole)
    assert event.kind == kind
    assert (event.permission.change if event.permission else None) == change
    if change == "grant":
        assert event.permission is not None
        assert (event.permission.grantee, event.permission.privilege) == ("mallory", "cluster-admin")


@pytest.mark.parametrize("resource", ["roles", "clusterroles", "rolebindings", "clusterrolebindings"])
def test_a_role_or_binding_deleted_is_a_revocation(resource: str) -> None:
    assert permission("delete", resource, name="ops").change == "revoke"


@pytest.mark.parametrize(
    ("rules", "full"),
    [
        ([rule("*", "*", "*")], True),
        ([rule("get list", "*", "*")], True),
        ([rule("get", "pods"), rule("list", "secrets")], True),
        ([rule("create", "pods/exec")], True),
        ([rule("create", "*/exec")], True),
        ([rule("escalate", "clusterroles", RULES)], True),
        ([rule("bind", "roles", RULES)], True),
        ([rule("impersonate", "groups")], True),
        ([rule("create", "serviceaccounts/token")], True),
        ([rule("get", "nodes/proxy")], True),
        ([rule("approve", "signers", "certificates.k8s.io")], True),
        ([rule("patch", "mutatingwebhookconfigurations", "admissionregistration.k8s.io")], True),
        ([rule("bind", "clusterroles", RULES, resourceNames=["cluster-admin"])], True),
        ([rule("get list watch", "pods pods/log")], False),
        ([rule("create update", "deployments", "apps")], False),
        ([rule("*", "widgets", "example.com")], False),
        ([rule("*", "*", "example.com")], False),
        ([rule("get", "secrets", resourceNames=["tls"])], False),
        ([rule("bind", "clusterroles", RULES, resourceNames=["view"])], False),
        ([rule("create", "secrets")], False),
        ([rule("get", "secrets", "example.com")], False),
    ],
)
def test_a_role_is_as_strong_as_its_strongest_rule(rules: list[Any], full: bool) -> None:
    for verb, change in (("create", "grant"), ("update", "widen")):
        found = permission(verb, "clusterroles", {"rules": rules})
        assert found.change == change
        assert (privilege_weight(found.privilege) >= 1.0) is full, found.privilege


def test_a_patched_role() -> None:
    whole = {"rules": [rule("get escalate", "roles", RULES)]}
    add = [{"op": "add", "path": "/rules/0/verbs/-", "value": "escalate"}]
    assert "escalate" in permission("patch", "roles", add, responseObject=whole).privilege
    assert permission("patch", "roles", {"rules": whole["rules"]}).privilege.startswith("elevated: ")
    replaced = [{"op": "replace", "path": "", "value": whole}]
    assert "escalate" in permission("patch", "roles", replaced).privilege
    assert permission("patch", "roles", [{"op": "remove", "path": "/rules/0"}]).change == "narrow"
    assert one("patch", "roles", {"metadata": {"labels": {"a": "b"}}}, responseObject=whole).kind == "call"
