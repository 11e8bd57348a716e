"""GitHub's two kinds of message as typed records: entries of the audit log and payloads of webhooks."""

import re
from collections.abc import Collection
from typing import Any, Final

import msgspec

from detector.formats.audit import dig, first, mappings, text

_ARTIFACT: Final = re.compile(r"(?i)download-artifact|\b(?:download|restore|fetch|pull)\w*\b.{0,40}\bartifacts?\b")
_DONE: Final = frozenset({"success", "failure", "completed"})

# Which field of a payload says what it is about, where GitHub's event name is left behind in an HTTP header.
# The first that is there counts.
_NOUNS: Final = (
    *(("workflow_job", "workflow_job"), ("workflow_run", "workflow_run"), ("key", "deploy_key")),
    *(("rule", "branch_protection_rule"), ("repository_ruleset", "repository_ruleset"), ("forkee", "fork")),
    *(("personal_access_token_request", "personal_access_token_request"), ("alert", "alert")),
    *(("pull_request", "pull_request"), ("issue", "issue"), ("release", "release"), ("package", "package")),
    *(("repositories_added", "installation_repositories"), ("hook", "webhook"), ("pusher", "push")),
)
_COMMON: Final = frozenset({"action", "repository", "sender", "organization", "enterprise", "installation", "changes"})


class Message(msgspec.Struct):
    """Whichever fields are there. What differs from action to action is `Any`: a name, a list, an object."""

    action: str | None = None
    # The audit log's
    document_id: str | None = msgspec.field(name="_document_id", default=None)
    timestamp: int | float | str | None = msgspec.field(name="@timestamp", default=None)
    exported_timestamp: int | float | str | None = msgspec.field(name="at_sign_timestamp", default=None)
    created_at: int | float | str | None = None
    actor: Any = None
    actor_ip: str | None = None
    actor_is_bot: bool | None = None
    org: Any = None
    repo: Any = None
    business: Any = None
    team: Any = None
    user: Any = None
    invitee: Any = None
    name: Any = None
    visibility: str | None = None
    previous_visibility: str | None = None
    permission: Any = None
    old_permission: Any = None
    new_repo_permission: Any = None
    old_repo_permission: Any = None
    role: Any = None
    read_only: Any = None
    integration: Any = None
    oauth_application_name: Any = None
    programmatic_access_type: Any = None
    transport_protocol_name: str | None = None
    user_agent: Any = None
    token_id: Any = None
    token_scopes: Any = None
    external_identity_nameid: Any = None
    business_id: Any = None
    request_id: Any = None
    config: Any = None
    events: Any = None
    data: Any = None
    admin_enforced: Any = None
    ruleset_enforcement: Any = None
    ruleset_rules_deleted: Any = None
    ruleset_bypass_actors_added: Any = None
    pull_request_reviews_enforcement_level: Any = None
    required_status_checks_enforcement_level: Any = None
    signature_requirement_enforcement_level: Any = None
    allow_force_pushes_enforcement_level: Any = None
    allow_deletions_enforcement_level: Any = None
    # A webhook's
    repository: Any = None
    sender: Any = None
    organization: Any = None
    enterprise: Any = None
    installation: Any = None
    member: Any = None
    membership: Any = None
    changes: Any = None
    workflow_job: Any = None
    workflow_run: Any = None
    key: Any = None
    rule: Any = None
    repository_ruleset: Any = None
    forkee: Any = None
    personal_access_token_request: Any = None
    alert: Any = None
    pull_request: Any = None
    issue: Any = None
    release: Any = None
    package: Any = None
    repositories_added: Any = None
    hook: Any = None
    pusher: Any = None
    forced: Any = None
    head_commit: Any = None

    @property
    def of_webhook(self) -> bool:
        """Whether this is a webhook's payload: its action is one word, or it has none."""
        return (isinstance(self.repository, dict) or isinstance(self.sender, dict)) and "." not in (self.action or "")


def webhook_noun(message: Message, names: Collection[str] = ()) -> str:
    """What a webhook's payload is about, by the fields that it has.

    Args:
        message: The payload.
        names: The names of all its fields, in order: what no table knows is about its first uncommon one.
    """
    for field, noun in _NOUNS:
        if getattr(message, field) is not None:
            return noun
    if message.membership is not None:
        return "membership" if message.team is not None else "organization"
    if message.member is not None:
        return "member"
    if message.team is not None:
        return "team"
    if message.installation is not None and message.repository is None:
        return "installation"
    other = next((name for name in names if name not in _COMMON), "")
    return other or ("repository" if message.action else "public")


def webhook_action(message: Message, names: Collection[str] = ()) -> str:
    """The payload's event and action in one word, as the audit log has them: "repository.publicized"."""
    noun = webhook_noun(message, names)
    if noun == "alert":
        noun = "secret_scanning_alert" if dig(message.alert, "secret_type") else "dependabot_alert"
    if noun == "workflow_job" and message.action == "completed" and downloads(message.workflow_job):
        return "workflow_job.artifact"
    return f"{noun}.{message.action}" if message.action else noun


def downloads(job: Any) -> bool:
    """Whether a job of a workflow took in another's artifacts: an entry for what others wrote."""
    steps = mappings(dig(job, "steps"))
    return any(
        (step.get("conclusion") is None or text(step["conclusion"]) in _DONE)
        and _ARTIFACT.search(text(step.get("name")))
        for step in steps
    )


def webhook_time(message: Message) -> str | int | None:
    """When it happened, if the payload tells; a repository's own dates are of other days."""
    for field, _ in _NOUNS:
        thing = getattr(message, field)
        found = first(*(dig(thing, name) for name in ("completed_at", "updated_at", "started_at", "created_at")))
        if found:
            return int(found) if found.isdigit() else found
    return first(dig(message.head_commit, "timestamp")) or None
