"""GitHub: entries of the audit log (one a message, or the list that its API answers), and webhook payloads.

| event | entry | webhook |
| --- | --- | --- |
| id | `_document_id` | a digest of the payload |
| time | `@timestamp`, else `created_at` | of the thing concerned; many payloads have none |
| actor | `actor`; bots and apps are agents | `sender` |
| action | `action` | event and action: "repository.publicized" |
| target | `github://org/repo`, else the organisation or enterprise | the same |
| kind, permission | by the action (see `github_actions`) and by roles, visibility, levels | the same |

A webhook's event name travels in an HTTP header, so the payload is recognised by its fields.
"""

from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from detector.events import Actor, Audience, Change, Destination, Event, Outcome, Permission, Target
from detector.formats.audit import (
    EPOCH,
    UNDATED,
    Act,
    BadRecordError,
    dig,
    digest,
    each,
    first,
    joined,
    kept,
    read,
    text,
    uri,
    when,
    words_of,
)
from detector.formats.github.actions import ALARMS, act_of
from detector.formats.github.payload import Message, webhook_action, webhook_time
from detector.formats.parts import Decoded, Part

_DECODER: Final = msgspec.json.Decoder(Message | list[msgspec.Raw])
_ENTRY: Final = msgspec.json.Decoder(Message)
_NAMES: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LEVELS: Final = ("none", "read", "pull", "triage", "write", "push", "maintain", "admin")
_LOWERED: Final = (
    *("pull_request_reviews_enforcement_level", "required_status_checks_enforcement_level"),
    "signature_requirement_enforcement_level",
)
_SHOWING: Final = frozenset({"repo.access", "repo.create", "repository.created", "gist.visibility_change"})
_RAISED: Final = ("allow_force_pushes_enforcement_level", "allow_deletions_enforcement_level")
_REACH: Final[dict[str, tuple[Change, Audience]]] = {
    "public": ("widen", "public"),
    "internal": ("widen", "org"),
    "private": ("narrow", "public"),
}


def decode(raw: bytes) -> Decoded:
    """One event an entry.

    >>> [decode(raw).reason for raw in (b"{}", b"no", b"")]
    ['wrong_shape', 'not_json', 'empty']
    """
    return read(raw, _events)


def _events(raw: bytes) -> tuple[Event | Part, ...]:
    message = _DECODER.decode(raw)
    return each(message, _entry) if isinstance(message, list) else (_event(message, raw),)


def _entry(place: int, raw: bytes) -> tuple[Event, ...]:
    return (_event(_ENTRY.decode(raw), raw, place),)


def _event(entry: Message, raw: bytes, place: int = 0) -> Event:
    hook = entry.of_webhook
    action = text(webhook_action(entry, tuple(_NAMES.decode(raw))) if hook else entry.action)
    if not action:
        raise BadRecordError("no entry of GitHub's audit log and no webhook payload: action is missing")
    act = _refined(entry, action, act_of(action))
    time = when(webhook_time(entry) if hook else entry.timestamp or entry.exported_timestamp or entry.created_at)
    place_of_act, kind_of_place = _target(entry)
    return Event(
        id=first(entry.document_id) or f"github-{digest(raw)}-{place}",
        time=time,
        actor=_actor(entry),
        kind=act.kind,
        action=action,
        target=Target(uri(f"github://{place_of_act}"), kind_of_place),
        destination=_destination(entry, act),
        records=1 if act.kind == "delete" else 0,
        permission=_permission(entry, act),
        trace_id=text(entry.request_id) or None,
        outcome=_outcome(entry, action),
        attributes=_attributes(entry, action) | ({UNDATED: True} if time == EPOCH else {}),
    )


def _refined(entry: Message, action: str, act: Act) -> Act:
    """What only the entry tells: the visibility, the level that was set."""
    if action in _SHOWING:
        seen = first(entry.visibility, dig(entry.repository, "visibility"), dig(entry.data, "visibility")).lower()
        change, audience = _REACH.get(seen, ("widen", "unknown"))
        made = action.endswith(("create", "created"))
        return Act("call") if made and seen != "public" else Act("permission", change, "visibility", audience)
    if action == "org.update_default_repository_permission":
        level = text(entry.permission).lower()
        lowered = _rank(level) < _rank(text(entry.old_permission).lower()) or level == "none"
        return Act("permission", "narrow" if lowered else "widen", "repository", "org")
    if action.startswith(("protected_branch.update", "branch_protection_rule.edited")):
        return _branch(entry)
    if action in {"repository_ruleset.update", "repository_ruleset.edited"}:
        state = first(entry.ruleset_enforcement, dig(entry.repository_ruleset, "enforcement"))
        off = state in {"disabled", "evaluate"} or entry.ruleset_rules_deleted or entry.ruleset_bypass_actors_added
        return Act("permission", "disable", "ruleset", "org") if off else Act("call")
    return act


def _branch(entry: Message) -> Act:
    """Whether a change of a branch's protection takes some away."""
    off = any(text(getattr(entry, name)) in {"0", "off"} for name in _LOWERED)
    on = any(text(getattr(entry, name)) not in {"", "0", "off"} for name in _RAISED)
    off = off or on or entry.admin_enforced in (False, "false")
    return Act("permission", "disable", "branch protection", "org") if off else Act("call")


def _rank(level: str) -> int:
    return _LEVELS.index(level) if level in _LEVELS else -1


def _permission(entry: Message, act: Act) -> Permission | None:
    if act.change is None:
        return None
    member = entry.member if isinstance(entry.member, dict) else dig(entry.membership, "user")
    person = first(entry.user, entry.invitee, dig(member, "login"))
    team = first(entry.team, dig(entry.team, "slug"), dig(entry.team, "name"))
    app = first(entry.integration, entry.oauth_application_name, dig(entry.installation, "app_slug"), entry.name)
    whose = {"user": first(person, app if act.privilege.startswith("credential:") else ""), "group": team}
    change, told = act.change, _role(entry)
    old = first(entry.old_repo_permission, entry.old_permission, dig(entry.changes, "old_permission", "from"))
    if change == "widen" and _rank(told.lower()) >= 0 and _rank(told.lower()) < _rank(old.lower()):
        change = "narrow"
    own = act.privilege.startswith("credential:") or change == "disable"
    return Permission(
        change,
        grantee=whose.get(act.audience) or None,
        audience=act.audience,
        privilege=text(act.privilege if own or not told else f"{act.privilege}: {told}"),
    )


def _role(entry: Message) -> str:
    return first(
        entry.new_repo_permission,
        entry.permission,
        entry.role,
        dig(entry.changes, "permission", "to"),
        dig(entry.membership, "role"),
        dig(entry.data, "permission"),
    )


def _destination(entry: Message, act: Act) -> Destination | None:
    if act.privilege == "webhook" and act.change != "revoke":
        place = first(dig(entry.config, "url"), dig(entry.data, "config", "url"), dig(entry.hook, "config", "url"))
        try:
            host = urlsplit(place).hostname
        except ValueError:
            return None
        return Destination(host=host) if host else None
    if act.kind == "transfer":
        old = dig(entry.changes, "owner", "from")
        new = first(dig(entry.data, "new_owner"), dig(entry.repository, "owner", "login") if old else "")
        return Destination(account=new, zone="external") if new else None
    return None


def _actor(entry: Message) -> Actor:
    if entry.of_webhook:
        name = first(dig(entry.sender, "login"), dig(entry.workflow_job, "runner_name") and "github-actions[bot]")
        name = name or ("github-actions[bot]" if entry.workflow_job or entry.workflow_run else "unknown")
        machine = text(dig(entry.sender, "type")) in {"Bot", "App", "Integration"}
    else:
        name = first(entry.actor, dig(entry.actor, "login"), dig(entry.data, "actor")) or "unknown"
        machine = bool(entry.actor_is_bot) or "GitHub App" in text(entry.programmatic_access_type)
    if name.lower() in {"github system", "github", "github-system", "ghost"}:
        return Actor(name, "service")
    machine = machine or name.endswith("[bot]") or name in {"unknown", "deploy_key"}
    return Actor(name, "agent" if machine else "human", on_behalf_of=text(entry.external_identity_nameid) or None)


def _target(entry: Message) -> tuple[str, str]:
    """The repository, organisation or enterprise, and which of them it is."""
    repo = first(entry.repo, dig(entry.repository, "full_name"), dig(entry.repo, "name"))
    org = first(entry.org, dig(entry.organization, "login"), *words_of(entry.org)[:1])
    if repo:
        run = first(dig(entry.workflow_job, "run_id"), dig(entry.workflow_run, "id"))
        whole = repo if "/" in repo or not org else f"{org}/{repo}"
        return (f"{whole}/actions/runs/{run}", "workflow run") if run else (whole, "repository")
    if org:
        return org, "organisation"
    business = first(entry.business, dig(entry.enterprise, "slug"))
    return (f"enterprises/{business}", "enterprise") if business else (f"users/{first(entry.user) or '-'}", "user")


def _outcome(entry: Message, action: str) -> Outcome:
    if action == "protected_branch.rejected_ref_update":
        return "denied"
    result = first(dig(entry.workflow_job, "conclusion"))
    failed = action == "user.failed_login" or result in {"failure", "cancelled", "timed_out"}
    return "failure" if failed else "success"


def _outside_code(entry: Message) -> str | None:
    """The fork whose code a run of a workflow took in, where that run holds the repository's own rights."""
    run = entry.workflow_run
    source, own = text(dig(run, "head_repository", "full_name")), text(dig(entry.repository, "full_name"))
    trusted = text(dig(run, "event")) in {"pull_request_target", "workflow_run", "issue_comment"}
    return source if source and own and source != own and trusted else None


def _attributes(entry: Message, action: str) -> dict[str, Any]:
    found: dict[str, object] = {
        "source_ip": text(entry.actor_ip),
        "user_agent": text(entry.user_agent, 256),
        "business": text(entry.business),
        "user": text(entry.user),
        "team": text(entry.team),
        "visibility": text(entry.visibility),
        "previous_visibility": text(entry.previous_visibility),
        "old_permission": first(entry.old_permission, entry.old_repo_permission),
        "token_type": text(entry.programmatic_access_type),
        "token_id": text(entry.token_id),
        "token_scopes": text(entry.token_scopes),
        "protocol": text(entry.transport_protocol_name),
        "read_only": entry.read_only if isinstance(entry.read_only, bool) else text(entry.read_only),
        "events": joined(words_of(entry.events)),
        "job": text(dig(entry.workflow_job, "name")),
        "outside_code": _outside_code(entry),
        "forced": True if entry.forced is True else None,
        "alarm": True if action in ALARMS else None,
    }
    return kept(found)
