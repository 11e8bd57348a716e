"""Entries of Google Cloud's, Okta's and GitHub's audit logs as these services write them."""

from typing import Any

import msgspec

AT = "2026-03-02T09:00:00.123456789Z"
PROJECT = "projects/acme-prod"
ROBOT = "deployer@acme-prod.iam.gserviceaccount.com"


def gcp(method: str, service: str, resource: str = PROJECT, /, **payload: Any) -> bytes:
    """An entry of Cloud Audit Logs: a call that `ROBOT` made."""
    return msgspec.json.encode(
        {
            "insertId": "1a2b3c",
            "logName": f"{PROJECT}/logs/cloudaudit.googleapis.com%2Factivity",
            "timestamp": AT,
            "resource": {"type": "thing", "labels": {"project_id": "acme-prod"}},
            "severity": "NOTICE",
            "protoPayload": {
                "@type": "type.googleapis.com/google.cloud.audit.AuditLog",
                "authenticationInfo": {"principalEmail": ROBOT},
                "requestMetadata": {"callerIp": "203.0.113.7", "callerSuppliedUserAgent": "copy"},
                "methodName": method,
                "serviceName": f"{service}.googleapis.com",
                "resourceName": resource,
                "status": {},
                **payload,
            },
        }
    )


def deltas(*changes: tuple[str, str, str]) -> dict[str, Any]:
    """A policy's changed bindings: (ADD or REMOVE, role, member)."""
    found = [{"action": action, "role": role, "member": member} for action, role, member in changes]
    return {"policyDelta": {"bindingDeltas": found}}


def okta(event_type: str, *targets: tuple[str, str], **fields: Any) -> bytes:
    """An entry of Okta's System Log: what the administrator ann did to targets of (type, name)."""
    return msgspec.json.encode(
        {
            "uuid": "7c9e6679",
            "published": AT,
            "eventType": event_type,
            "actor": {"id": "00u1", "type": "User", "alternateId": "ann@acme.example", "displayName": "Ann"},
            "client": {"ipAddress": "203.0.113.7", "userAgent": {"rawUserAgent": "copy"}},
            "authenticationContext": {"externalSessionId": "s-1"},
            "outcome": {"result": "SUCCESS"},
            "target": [
                {"id": f"id-{name}", "type": kind, "alternateId": name, "displayName": name} for kind, name in targets
            ],
            **fields,
        }
    )


def github(action: str, **fields: Any) -> bytes:
    """An entry of GitHub's audit log: what ann did in acme/app."""
    plain = {
        "_document_id": "d-1",
        "@timestamp": 1_772_442_000_123,
        "action": action,
        "actor": "ann",
        "actor_ip": "203.0.113.7",
        "user_agent": "copy",
        "org": "acme",
        "repo": "acme/app",
    }
    return msgspec.json.encode({**plain, **fields})


def webhook(**fields: Any) -> bytes:
    """A webhook's payload about acme/app, sent by ann."""
    repository = {"full_name": "acme/app", "visibility": "private", "owner": {"login": "acme"}}
    return msgspec.json.encode({"repository": repository, "sender": {"login": "ann", "type": "User"}, **fields})
