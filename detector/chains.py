"""What follows from findings taken together: advice that was followed, exposures that were used."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from detector.detectors.base import ATLAS, ATTACK, OWASP_AGENTIC
from detector.events import ActorKind
from detector.exposures import Window
from detector.findings import Finding, stable_id
from detector.incidents import About, utc
from detector.severity import Severity
from detector.wording import duration, plural

ADVICE: Final = "advice_followed"
EXPOSURE: Final = "exposure"
EXFILTRATION: Final = "exfiltration"

# A first touch of sensitive data counts as on its way out for so many seconds.
CARRIED_SECONDS: Final = 7200.0

# The behaviours that only correlation can see, told as detectors like any other.
DERIVED: Final[Mapping[str, About]] = {
    ADVICE: About(
        rules={"post_then_change": "gave advice without approval, and a person acted on it"},
        runbook="Undo the person's change, correct the post, and tell everyone who read the thread.",
    ),
    EXPOSURE: About(
        rules={
            "unauthorised_read": "let sensitive data be read by people without authorisation",
            "open_too_long": "has left sensitive data open for too long",
        },
        runbook="Close the window, then ask the audit for everybody who read the resource while it stood open.",
    ),
    EXFILTRATION: About(
        rules={"touch_then_exit": "sent to a stranger soon after it first touched sensitive data"},
        runbook="Stop the agent, block the destination, and list what it read since the first touch.",
    ),
}
TAGS: Final[Mapping[str, tuple[str, ...]]] = {
    ADVICE: (f"{OWASP_AGENTIC}:ASI09", f"{OWASP_AGENTIC}:ASI08", f"{ATLAS}:AML.T0053"),
    EXPOSURE: (f"{OWASP_AGENTIC}:ASI03", f"{ATTACK}:T1530"),
    EXFILTRATION: (f"{ATLAS}:AML.T0086", f"{ATTACK}:T1567.002"),
}


class Who(NamedTuple):
    """Whom a derived finding is about."""

    id: str
    kind: ActorKind
    role: str


def is_remembered(finding: Finding) -> bool:
    """Whether later findings may follow from this one: a post, a first touch, a change that opens something."""
    return is_post(finding) or finding.detector == "sensitive_read" or bool(finding.evidence.get("opens"))


def is_post(finding: Finding) -> bool:
    """Whether the finding is an agent's publication that lacked its approval."""
    return (
        finding.detector == "unapproved_action"
        and finding.evidence.get("kind") == "publish"
        and finding.principal_kind == "agent"
    )


def post_keys(finding: Finding) -> tuple[str, ...]:
    """What an answer to a post can name it by: its thread, its trace, its own event."""
    return tuple(e for e in finding.entities if e.startswith(("thread:", "trace:", "event:")))


def advice_followed(posts: Mapping[str, Finding], change: Finding) -> Finding | None:
    """A person's harmful change in the thread of an agent's unapproved post."""
    if change.principal_kind != "human" or change.detector not in {"permission_change", "mass_deletion"}:
        return None
    if change.severity == "SEV4":
        return None
    post = next((posts[key] for key in change.entities if key in posts), None)
    if post is None:
        return None
    severity: Severity = "SEV1" if change.evidence.get("opens") else "SEV2"
    after = duration((change.time - post.time).total_seconds())
    reason = f"{change.principal} followed the unapproved post of {post.principal} {after} after it{_did(change)}"
    who = Who(post.principal, post.principal_kind, post.role)
    return _derive(change, ADVICE, "post_then_change", severity, reason, who, post=post.event_id)


def exfiltration(touch: Finding | None, exit_: Finding) -> Finding | None:
    """A payload to a new outside endpoint by somebody who has just touched sensitive data for the first time."""
    if exit_.detector != "new_endpoint" or touch is None:
        return None
    if exit_.severity == "SEV4" and not exit_.evidence["payload"]:
        return None
    ago = (exit_.time - touch.time).total_seconds()
    inside = exit_.evidence.get("zone", "internal") == "internal"
    if inside or touch.principal != exit_.principal or not 0 <= ago <= CARRIED_SECONDS:
        return None
    evidence = touch.evidence
    reason = (
        f"{exit_.principal} sent to the new {exit_.evidence['endpoint']} {duration(ago)} after it first touched "
        f"{evidence['sensitivity']} {evidence['resource']}"
    )
    who = Who(exit_.principal, exit_.principal_kind, exit_.role)
    return _derive(exit_, EXFILTRATION, "touch_then_exit", "SEV2", reason, who, touched=evidence["resource"])


def _did(change: Finding) -> str:
    evidence = change.evidence
    if not evidence.get("opens"):
        return f": {change.reason}"
    count = evidence["audience_count"]
    people = f" ({plural(count, 'person', 'people')})" if count else ""
    return f" and opened {evidence['sensitivity']} {evidence['resource']} to the {evidence['audience']}{people}"


def unauthorised_read(window: Window, read: Finding) -> Finding:
    """The first touch of an exposed resource by somebody whom the change let in."""
    after = duration(read.time.timestamp() - window.opened_at)
    records = plural(read.evidence["records"], "record")
    reason = (
        f"{read.principal} read {records} of {window.sensitivity} {window.resource}, {after} after "
        f"{window.opened_by} opened it to the {window.audience}, never having touched it before"
    )
    return _derive(read, EXPOSURE, "unauthorised_read", "SEV1", reason, _opener(window))


def open_too_long(window: Window, due: float, limit: float) -> Finding:
    """A window that stands open past its limit, told as of when it was due."""
    reason = (
        f"{window.sensitivity} {window.resource} has stood open to the {window.audience} for "
        f"{duration(limit)} since {window.opened_by} opened it; "
        f"{plural(window.reader_count, 'person', 'people')} newly admitted read it so far"
    )
    return Finding(
        id=stable_id("f", window.event_id, EXPOSURE, "open_too_long"),
        time=utc(due),
        event_id=window.event_id,
        principal=window.opened_by,
        principal_kind=window.opener_kind,
        role=window.opener_role,
        session=None,
        detector=EXPOSURE,
        rule="open_too_long",
        score=1.0,
        p_value=None,
        severity="SEV2",
        reason=reason,
        entities=(f"resource:{window.resource}",),
        tags=TAGS[EXPOSURE],
        evidence={"resource": window.resource, "readers": window.reader_count},
    )


def _opener(window: Window) -> Who:
    return Who(window.opened_by, window.opener_kind, window.opener_role)


def _derive(
    cause: Finding, detector: str, rule: str, severity: Severity, reason: str, who: Who, **evidence: str
) -> Finding:
    return Finding(
        id=stable_id("f", cause.id, detector, rule),
        time=cause.time,
        event_id=cause.event_id,
        principal=who.id,
        principal_kind=who.kind,
        role=who.role,
        session=cause.session,
        detector=detector,
        rule=rule,
        score=1.0,
        p_value=None,
        severity=severity,
        reason=reason,
        entities=(f"principal:{who.id}", *cause.entities),
        tags=TAGS[detector],
        evidence={"cause": cause.id, **evidence},
    )
