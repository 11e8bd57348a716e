"""CloudTrail records as AWS delivers them."""

from typing import Any, Final

import msgspec

from detector.events import Event
from detector.formats.cloudtrail import decode

ACCOUNT: Final = "111122223333"
OTHER: Final = "444455556666"
ROLE: Final = f"arn:aws:iam::{ACCOUNT}:role/mover"


def role(session: str = "i-0abc", name: str = "mover", mfa: str = "false") -> dict[str, Any]:
    """A role's session."""
    return {
        "type": "AssumedRole",
        "principalId": f"AROAXXXXXXXXXXXXXXXXX:{session}",
        "arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/{session}",
        "accountId": ACCOUNT,
        "accessKeyId": "ASIAXXXXXXXXXXXXXXXX",
        "sessionContext": {
            "sessionIssuer": {"type": "Role", "arn": f"arn:aws:iam::{ACCOUNT}:role/{name}", "userName": name},
            "attributes": {"mfaAuthenticated": mfa, "creationDate": "2026-03-02T08:00:00Z"},
        },
    }


def record(key: str, params: Any = None, **fields: Any) -> dict[str, Any]:
    """A record of the role `mover`; `key` is the operation by its IAM name: "s3:GetObject"."""
    service, _, name = key.partition(":")
    return {
        "eventVersion": "1.09",
        "userIdentity": role(),
        "eventTime": "2026-03-02T09:00:00Z",
        "eventSource": f"{service}.amazonaws.com",
        "eventName": name,
        "awsRegion": "eu-west-1",
        "sourceIPAddress": "198.51.100.7",
        "userAgent": "aws-cli/2.15",
        "requestParameters": params,
        "responseElements": None,
        "requestID": "5T2XEXAMPLE",
        "eventID": "8e1f0a5c-4a2e-4b0e-9f0e-1d2c3b4a5f60",
        "readOnly": False,
        "eventType": "AwsApiCall",
        "recipientAccountId": ACCOUNT,
        **fields,
    }


def message(*records: Any) -> bytes:
    """A log file."""
    return msgspec.json.encode({"Records": list(records)})


def one(key: str, params: Any = None, **fields: Any) -> Event:
    """The event of a record, which must survive a round trip through our own format."""
    found = decode(msgspec.json.encode(record(key, params, **fields)))
    assert isinstance(found, tuple), found
    (event,) = found
    assert msgspec.json.decode(msgspec.json.encode(event), type=Event) == event
    return event


def policy(*statements: Any) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def told(event: Event) -> tuple[str, ...]:
    """kind, or for a change of reach: change, audience, privilege."""
    change = event.permission
    return (event.kind,) if change is None else (change.change, change.audience, change.privilege)
