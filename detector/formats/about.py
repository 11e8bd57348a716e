"""What a person is told of each format: what it reads, and the shapes that its messages may have."""

from typing import Final, NamedTuple

from detector.formats.signs import PROTOBUF, SIGNS


class About(NamedTuple):
    """One format: `reads` names its source, `shapes` how a message may hold its records."""

    reads: str
    shapes: str


ABOUT: Final = {
    "auto": About("any of the others, each message recognised on its own", "theirs, and a list of any of them"),
    "cloudevents": About("CloudEvents 1.0 around any of the others", "one in structured mode (JSON), or a batch"),
    "cloudtrail": About(
        "AWS CloudTrail", "a record, a log file (`Records`), EventBridge's `detail`, CloudWatch's `logEvents`"
    ),
    "gcp_audit": About("Google Cloud Audit Logs", "a LogEntry, a list of them, the answer of `entries.list`"),
    "github": About("GitHub's audit log and webhooks", "an entry, a list of them, a webhook's payload"),
    "kubernetes": About(
        "Kubernetes audit logs", "an Event, an EventList, or as EKS (CloudWatch), AKS (Azure Monitor) and GKE wrap them"
    ),
    "native": About("the detector's own events", "one event"),
    "ocsf": About("OCSF events of people, access and data", "an event, or a list of them"),
    "okta": About(
        "Okta's System Log", "a LogEvent, a list of them, an event hook's `data.events`, EventBridge's `detail`"
    ),
    "otel": About(
        "OpenTelemetry GenAI spans", "OTLP as JSON (an export request, its elements, a span) or as protobuf (a request)"
    ),
}


def signs_of(name: str) -> tuple[str, ...]:
    """What `auto` recognises the format by, each sign in words."""
    told = [sign.told for sign in SIGNS if sign.format == name]
    return (*told, PROTOBUF) if name == "otel" else tuple(told)
