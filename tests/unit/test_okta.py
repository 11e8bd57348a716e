"""What entries of Okta's System Log mean, each with a benign twin."""

from datetime import UTC, datetime

import msgspec
import pytest

from detector.events import Event, Reject
from detector.formats.audit import EPOCH, UNDATED
from detector.formats.okta import decode
from detector.formats.parts import events_of
from tests.support.audit_logs import okta

BOB, GROUP, APP = ("User", "bob@acme.example"), ("UserGroup", "admins"), ("AppInstance", "payroll")


def only(raw: bytes) -> Event:
    answer = decode(raw)
    assert not isinstance(answer, Reject), answer
    (found,) = events_of(answer)
    return found


def test_an_entry_says_who_when_where_and_how_it_ended() -> None:
    found = only(okta("application.user_membership.add", BOB, APP))
    assert (found.id, found.actor.id, found.actor.kind, found.actor.session) == (
        *("7c9e6679", "ann@acme.example"),
        *("human", "s-1"),
    )
    assert found.time == datetime(2026, 3, 2, 9, 0, 0, 123456, UTC)
    assert found.target is not None
    assert found.target.uri == "okta://-/AppInstance/id-payroll"
    assert found.attributes["source_ip"] == "203.0.113.7"


@pytest.mark.parametrize(
    ("event_type", "target", "change", "audience", "privilege"),
    [
        ("user.account.privilege.grant", BOB, "grant", "user", "administrator"),
        ("user.account.privilege.revoke", BOB, "revoke", "user", "administrator"),
        ("group.privilege.grant", GROUP, "grant", "group", "administrator"),
        ("group.user_membership.add", BOB, "grant", "user", "group member"),
        ("group.user_membership.remove", BOB, "revoke", "user", "group member"),
        ("application.user_membership.add", BOB, "grant", "user", "app"),
        ("system.api_token.create", ("Token", "t"), "grant", "user", "credential:API token"),
        ("system.api_token.revoke", ("Token", "t"), "revoke", "user", "credential:API token"),
        ("system.idp.lifecycle.create", ("IdentityProvider", "i"), "grant", "user", "credential:identity provider"),
        ("user.account.reset_password", BOB, "grant", "user", "credential:password"),
        ("user.session.impersonation.grant", BOB, "grant", "user", "credential:support access"),
        ("user.session.impersonation.end", BOB, "revoke", "unknown", "credential:support access"),
        ("user.mfa.factor.deactivate", BOB, "disable", "user", "MFA"),
        ("user.mfa.factor.reset_all", BOB, "disable", "user", "MFA"),
        ("policy.rule.deactivate", ("PolicyRule", "r"), "disable", "org", "policy rule"),
        ("policy.lifecycle.delete", ("PolicyEntity", "p"), "disable", "org", "policy"),
        ("zone.delete", ("NetworkZone", "z"), "disable", "org", "network zone"),
        ("system.log_stream.lifecycle.deactivate", ("LogStream", "l"), "disable", "org", "log stream"),
    ],
)
def test_changes_of_who_can_reach_what(
    event_type: str, target: tuple[str, str], change: str, audience: str, privilege: str
) -> None:
    found = only(okta(event_type, target))
    assert found.kind == "permission"
    assert found.permission is not None
    assert (found.permission.change, found.permission.audience, found.permission.privilege) == (
        *(change, audience),
        privilege,
    )


def test_the_grantee_is_the_person_concerned() -> None:
    found = only(
        okta("user.account.privilege.grant", BOB, debugContext={"debugData": {"privilegeGranted": "Super admin"}})
    )
    assert found.permission is not None
    assert (found.permission.grantee, found.permission.privilege) == ("bob@acme.example", "Super admin")


@pytest.mark.parametrize(
    ("event_type", "kind"),
    [
        ("policy.lifecycle.activate", "call"),
        ("policy.rule.add", "call"),
        ("zone.activate", "call"),
        ("system.log_stream.lifecycle.activate", "call"),
        ("system.email.delivery", "call"),
        ("user.session.start", "auth"),
        ("user.authentication.sso", "auth"),
        ("policy.evaluate_sign_on", "auth"),
        ("application.lifecycle.delete", "delete"),
        ("group.lifecycle.delete", "delete"),
        ("application.user_membership.show_password", "access"),
    ],
)
def test_what_changes_no_access(event_type: str, kind: str) -> None:
    found = only(okta(event_type, APP))
    assert (found.kind, found.permission) == (kind, None)
    assert found.records == (1 if kind == "delete" else 0)


def test_keeping_up_ones_own_account_is_no_grant_but_dropping_a_factor_is() -> None:
    own = ("User", "ann@acme.example")
    assert only(okta("user.account.update_password", own)).kind == "auth"
    assert only(okta("user.account.update_password", BOB)).kind == "permission"
    assert only(okta("user.mfa.factor.activate", own)).kind == "auth"
    assert only(okta("user.mfa.factor.deactivate", own)).kind == "permission"


@pytest.mark.parametrize(
    ("result", "reason", "outcome"),
    [
        ("SUCCESS", "", "success"),
        ("ALLOW", "", "success"),
        ("CHALLENGE", "", "success"),
        ("DENY", "", "denied"),
        ("FAILURE", "INVALID_CREDENTIALS", "failure"),
        ("FAILURE", "access_denied", "denied"),
    ],
)
def test_the_result_tells_how_it_ended(result: str, reason: str, outcome: str) -> None:
    raw = okta("user.account.privilege.grant", BOB, outcome={"result": result, "reason": reason})
    assert only(raw).outcome == outcome


@pytest.mark.parametrize(
    ("actor", "more", "kind"),
    [
        ({"type": "User", "alternateId": "ann@acme.example", "id": "1"}, {}, "human"),
        ({"type": "User", "alternateId": "system@okta.com", "id": "1"}, {}, "service"),
        ({"type": "SystemPrincipal", "alternateId": "system@okta.com", "id": "1"}, {}, "service"),
        ({"type": "PublicClientApp", "alternateId": "0oa1", "id": "0oa1"}, {}, "agent"),
        (
            {"type": "User", "alternateId": "ann@acme.example", "id": "1"},
            {"transaction": {"detail": {"requestApiTokenId": "00T1"}}},
            "agent",
        ),
    ],
)
def test_people_machines_and_okta_itself(actor: dict[str, str], more: dict[str, object], kind: str) -> None:
    assert only(okta("user.session.start", actor=actor, **more)).actor.kind == kind


@pytest.mark.parametrize(
    "behaviours",
    [
        "{New Device=POSITIVE, New IP=POSITIVE, Velocity=NEGATIVE}",
        ["New Device=POSITIVE", "New IP=POSITIVE", "Velocity=NEGATIVE"],
    ],
)
def test_what_okta_finds_unusual_is_kept(behaviours: object) -> None:
    debug = {"debugData": {"behaviors": behaviours}}
    assert only(okta("policy.evaluate_sign_on", debugContext=debug)).attributes["unusual"] == "New Device, New IP"


def test_security_data_is_read_as_text_or_as_an_object() -> None:
    data = {"risk": {"level": "HIGH"}, "behaviors": {"New Device": "POSITIVE", "Velocity": "NEGATIVE"}}
    for told in (data, msgspec.json.encode(data).decode()):
        found = only(okta("user.session.start", debugContext={"debugData": {"logOnlySecurityData": told}}))
        assert (found.attributes["unusual"], found.attributes["risk"]) == ("New Device", "high")


def test_oktas_own_alarms_are_kept() -> None:
    assert only(okta("user.account.report_suspicious_activity_by_enduser", BOB)).attributes["alarm"] is True
    assert "alarm" not in only(okta("user.session.start", BOB)).attributes


def test_envelopes_hold_entries() -> None:
    entry = okta("user.session.start", BOB)
    for raw in (b"[%s]" % entry, b'{"data":{"events":[%s]}}' % entry, b'{"detail":%s}' % entry):
        assert only(raw) == only(entry)


def test_an_entry_without_a_time_is_marked_and_one_with_nonsense_refused() -> None:
    found = only(okta("user.session.start", published=None))
    assert (found.time, found.attributes[UNDATED]) == (EPOCH, True)
    answer = decode(okta("user.session.start", published="yesterday"))
    assert isinstance(answer, Reject)
    assert answer.reason == "wrong_shape"
