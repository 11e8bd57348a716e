"""What entries of GitHub's audit log and webhook payloads mean, each with a benign twin."""

from datetime import UTC, datetime
from typing import Any

import pytest

from detector.events import Event, Reject
from detector.formats.audit import UNDATED
from detector.formats.github import decode
from detector.formats.parts import events_of
from tests.support.audit_logs import github, webhook


def only(raw: bytes) -> Event:
    answer = decode(raw)
    assert not isinstance(answer, Reject), answer
    (found,) = events_of(answer)
    return found


def change(raw: bytes) -> tuple[str, str]:
    permission = only(raw).permission
    assert permission is not None
    return permission.change, permission.audience


def test_an_entry_says_who_when_where() -> None:
    found = only(github("git.clone"))
    assert (found.id, found.actor.id, found.actor.kind, found.kind) == ("d-1", "ann", "human", "access")
    assert found.time == datetime(2026, 3, 2, 9, 0, 0, 123000, UTC)
    assert found.target is not None
    assert (found.target.uri, found.target.type) == ("github://acme/app", "repository")


@pytest.mark.parametrize(
    ("action", "visibility", "expected"),
    [
        ("repo.access", "public", ("widen", "public")),
        ("repo.access", "internal", ("widen", "org")),
        ("repo.access", "private", ("narrow", "public")),
        ("repo.create", "public", ("widen", "public")),
    ],
)
def test_visibility_is_who_can_see(action: str, visibility: str, expected: tuple[str, str]) -> None:
    assert change(github(action, visibility=visibility)) == expected


def test_a_private_repository_made_is_no_exposure() -> None:
    assert only(github("repo.create", visibility="private")).kind == "call"


@pytest.mark.parametrize(
    ("action", "expected", "privilege"),
    [
        ("org.add_member", ("grant", "user"), "member"),
        ("org.remove_member", ("revoke", "user"), "member"),
        ("repo.add_member", ("grant", "user"), "collaborator"),
        ("team.add_repository", ("grant", "group"), "team repository"),
        ("team.remove_repository", ("revoke", "group"), "team repository"),
        ("personal_access_token.access_granted", ("grant", "user"), "credential:personal access token"),
        ("integration_installation.create", ("grant", "user"), "credential:GitHub App"),
        ("integration_installation.destroy", ("revoke", "user"), "credential:GitHub App"),
        ("public_key.create", ("grant", "user"), "credential:ssh key"),
        ("oauth_application.create", ("grant", "user"), "credential:OAuth app"),
        ("private_repository_forking.enable", ("widen", "org"), "fork private repositories"),
        ("private_repository_forking.disable", ("narrow", "org"), "fork private repositories"),
        ("protected_branch.destroy", ("disable", "org"), "branch protection"),
        ("org.disable_two_factor_requirement", ("disable", "org"), "MFA"),
        ("secret_scanning.disable", ("disable", "org"), "secret scanning"),
        ("repo.advanced_security_disabled", ("disable", "org"), "advanced security"),
        ("org.advanced_security_disabled_for_new_repos", ("disable", "org"), "advanced security"),
        ("ip_allow_list.disable", ("disable", "org"), "ip allow list"),
        ("audit_log_streaming.destroy", ("disable", "org"), "audit log streaming"),
    ],
)
def test_changes_of_who_can_reach_what(action: str, expected: tuple[str, str], privilege: str) -> None:
    found = only(github(action, user="bob", team="acme/ops"))
    assert found.permission is not None
    assert change(github(action)) == expected
    assert found.permission.privilege == privilege
    who = {"user": "bob", "group": "acme/ops"}.get(expected[1])
    assert found.permission.grantee == who


@pytest.mark.parametrize(
    ("action", "kind"),
    [
        ("org.enable_two_factor_requirement", "call"),
        ("secret_scanning.enable", "call"),
        ("repo.advanced_security_enabled", "call"),
        ("protected_branch.create", "call"),
        ("workflows.disable_workflow", "call"),
        ("issue.create", "call"),
        ("git.push", "call"),
        ("repo.download_zip", "access"),
        ("repo.destroy", "delete"),
        ("packages.package_deleted", "delete"),
        ("repo.transfer", "transfer"),
        ("user.login", "auth"),
    ],
)
def test_what_changes_no_access(action: str, kind: str) -> None:
    found = only(github(action))
    assert (found.kind, found.permission) == (kind, None)
    assert found.records == (1 if kind == "delete" else 0)


@pytest.mark.parametrize(
    ("new", "old", "expected"), [("admin", "read", "widen"), ("read", "admin", "narrow"), ("none", None, "narrow")]
)
def test_the_default_permission_goes_up_or_down(new: str, old: str | None, expected: str) -> None:
    raw = github("org.update_default_repository_permission", permission=new, old_permission=old)
    assert change(raw) == (expected, "org")


def test_a_role_taken_down_is_narrower() -> None:
    assert change(github("repo.update_member", user="bob", permission="admin", old_permission="read"))[0] == "widen"
    assert change(github("repo.update_member", user="bob", permission="read", old_permission="admin"))[0] == "narrow"


@pytest.mark.parametrize(
    ("action", "fields", "off"),
    [
        ("protected_branch.update_admin_enforced", {"admin_enforced": False}, True),
        ("protected_branch.update_admin_enforced", {"admin_enforced": True}, False),
        ("protected_branch.update_x", {"pull_request_reviews_enforcement_level": 0}, True),
        ("protected_branch.update_x", {"pull_request_reviews_enforcement_level": 2}, False),
        ("protected_branch.update_x", {"allow_force_pushes_enforcement_level": 2}, True),
        ("protected_branch.update_x", {"allow_force_pushes_enforcement_level": 0}, False),
        ("repository_ruleset.update", {"ruleset_enforcement": "disabled"}, True),
        ("repository_ruleset.update", {"ruleset_enforcement": "active"}, False),
    ],
)
def test_protection_is_lowered_or_raised(action: str, fields: dict[str, Any], off: bool) -> None:
    found = only(github(action, **fields))
    assert found.kind == ("permission" if off else "call")


def test_a_webhook_made_says_where_it_sends() -> None:
    found = only(github("hook.create", config={"url": "https://drop.example/x?token=hunter2"}, events=["push"]))
    assert found.kind == "permission"
    assert found.destination is not None
    assert found.destination.host == "drop.example"
    assert "hunter2" not in repr(found)
    assert only(github("hook.create", config={"url": "http://[bad"})).destination is None


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"actor": "renovate[bot]"}, "agent"),
        ({"actor_is_bot": True}, "agent"),
        ({"programmatic_access_type": "GitHub App server-to-server token"}, "agent"),
        ({"programmatic_access_type": "Personal access token (classic)"}, "human"),
        ({"actor": "GitHub System"}, "service"),
        ({"actor": None}, "agent"),
    ],
)
def test_people_and_machines(fields: dict[str, Any], kind: str) -> None:
    assert only(github("git.clone", **fields)).actor.kind == kind


def test_a_refused_push_and_a_failed_login_did_not_succeed() -> None:
    assert only(github("protected_branch.rejected_ref_update")).outcome == "denied"
    assert only(github("user.failed_login")).outcome == "failure"


def test_organisations_and_enterprises_are_targets_too() -> None:
    uris = []
    for fields in (
        {"repo": None},
        {"repo": None, "org": ["acme", "b"]},
        {"repo": None, "org": None, "business": "big"},
    ):
        target = only(github("org.add_member", **fields)).target
        assert target is not None
        uris.append(target.uri)
    assert uris == ["github://acme", "github://acme", "github://enterprises/big"]


@pytest.mark.parametrize(
    ("fields", "action", "kind"),
    [
        ({"action": "publicized"}, "repository.publicized", "permission"),
        ({"action": "created"}, "repository.created", "call"),
        ({"action": "deleted"}, "repository.deleted", "delete"),
        ({}, "public", "permission"),
        ({"action": "added", "member": {"login": "bob"}}, "member.added", "permission"),
        ({"action": "created", "key": {"id": 1}}, "deploy_key.created", "permission"),
        ({"action": "deleted", "rule": {"id": 1}}, "branch_protection_rule.deleted", "permission"),
        ({"action": "created", "alert": {"secret_type": "x"}}, "secret_scanning_alert.created", "call"),
        ({"action": "opened", "issue": {"id": 1}}, "issue.opened", "call"),
        ({"pusher": {"name": "ann"}}, "push", "call"),
        ({"ref": "main", "ref_type": "branch"}, "ref", "call"),
        ({"action": "deleted", "label": {"id": 1}}, "label.deleted", "call"),
        ({"action": "created", "check_run": {"id": 1}}, "check_run.created", "call"),
        ({"action": "deleted", "starred_at": None}, "starred_at.deleted", "call"),
        ({"action": "deleted", "comment": {}}, "comment.deleted", "call"),
    ],
)
def test_a_payload_is_known_by_its_fields(fields: dict[str, Any], action: str, kind: str) -> None:
    found = only(webhook(**fields))
    assert (found.action, found.kind, found.actor.id) == (action, kind, "ann")


@pytest.mark.parametrize(
    ("step", "action", "kind"),
    [
        ("Download build artifacts", "completed", "access"),
        ("actions/download-artifact@v4", "completed", "access"),
        ("Upload artifact", "completed", "call"),
        ("Download dependencies", "completed", "call"),
        ("Download build artifacts", "in_progress", "call"),
    ],
)
def test_a_job_that_takes_in_artifacts_reads(step: str, action: str, kind: str) -> None:
    job = {"run_id": 7, "conclusion": "success", "completed_at": "2026-03-02T09:00:00Z"}
    found = only(webhook(action=action, workflow_job={**job, "steps": [{"name": step, "conclusion": "success"}]}))
    assert found.kind == kind
    assert found.time == datetime(2026, 3, 2, 9, tzinfo=UTC)
    assert found.target is not None
    assert found.target.uri == "github://acme/app/actions/runs/7"


def test_a_payload_that_names_no_time_is_marked() -> None:
    assert only(webhook(action="publicized")).attributes[UNDATED] is True
    assert UNDATED not in only(github("repo.access", visibility="public")).attributes
