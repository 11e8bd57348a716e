"""Other accounts of one's own house: by the operator's lists, and by the trails that are read."""

import json
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

from detector import assembly
from detector.config import Config
from detector.destinations import DestinationSettings
from detector.detectors.base import START
from detector.events import Event
from detector.formats.gcp_audit import decode as gcp_audit
from detector.formats.parts import events_of
from tests.support import audit_logs, cloudtrail
from tests.support.audit_logs import deltas
from tests.support.detections import PARTITION, found_by

OWN, STRANGE = cloudtrail.OTHER, "777788889999"


def trust(account: str, minute: float = 0.0) -> Event:
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{account}:role/app"},
        "Action": "sts:AssumeRole",
    }
    params = {"roleName": "deploy", "policyDocument": json.dumps(cloudtrail.policy(statement))}
    return at(minute, "iam:UpdateAssumeRolePolicy", params)


def at(minute: float, key: str, params: Any = None, **fields: Any) -> Event:
    time: datetime = START + timedelta(minutes=minute)
    event = cloudtrail.one(key, params, **fields)
    return msgspec.structs.replace(event, id=f"{event.id}-{minute}", time=time)


def severities(config: Config, *events: Event) -> list[str]:
    """The gravest that is said of each event, "" for nothing."""
    labels, scoring = assembly.labels(config), assembly.scoring(config)
    scoring.open(PARTITION)
    found = found_by(scoring, map(labels.fill, events))
    return [min((f.severity for f in each if f.rule == "shared_outside"), default="") for each in found]


def test_a_strangers_account_is_another_house() -> None:
    assert severities(Config(), trust(OWN)) == ["SEV2"]


def test_accounts_on_the_operators_lists_are_of_the_house() -> None:
    for destinations in (DestinationSettings(internal=(OWN,)), DestinationSettings(approved=(OWN,))):
        config = Config(destinations=destinations)
        assert severities(config, trust(OWN), trust(STRANGE, 1)) == ["", "SEV2"]


@pytest.mark.parametrize("rule", [OWN, ".acme.example"])
def test_so_is_whoever_a_bucket_policy_or_a_project_lets_in(rule: str) -> None:
    """The bucket itself is on no list, and a person has no account but an address."""
    statement = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{OWN}:root"}, "Action": "s3:GetObject"}
    bucket = at(0, "s3:PutBucketPolicy", {"bucketName": "b", "bucketPolicy": cloudtrail.policy(statement)})
    change = deltas(("ADD", "roles/viewer", "user:bob@acme.example"))
    by = {"principalEmail": "ann@corp.example"}
    raw = audit_logs.gcp("SetIamPolicy", "cloudresourcemanager", serviceData=change, authenticationInfo=by)
    decoded = gcp_audit(raw)
    assert isinstance(decoded, tuple)
    (person,) = events_of(decoded)
    assert bucket.attributes["grantee_account"] == OWN
    assert person.attributes["grantee_outside"] is True
    known = Config(destinations=DestinationSettings(internal=(rule,)))
    assert severities(Config(), bucket) == ["SEV2"]
    assert severities(Config(), person) == ["SEV3"]
    assert (severities(known, bucket) == [""]) is (rule == OWN)
    assert (severities(known, person) == [""]) is (rule != OWN)


def test_accounts_whose_trails_are_read_are_of_the_house_from_the_next_hour_on() -> None:
    read = at(0, "ec2:DescribeInstances", recipientAccountId=OWN)
    assert severities(Config(), read, trust(OWN, 1), trust(OWN, 90), trust(STRANGE, 91)) == ["", "SEV2", "", "SEV2"]


def test_a_stranger_in_the_houses_trail_makes_its_account_no_house() -> None:
    stranger = {"type": "AWSAccount", "principalId": "AIDAEXAMPLE", "accountId": STRANGE}
    read = at(0, "s3:GetObject", {"bucketName": "www", "key": "a"}, userIdentity=stranger)
    assert read.attributes["outside"] is True
    assert "outside" not in trust(OWN).attributes
    assert severities(Config(), read, trust(STRANGE, 90)) == ["", "SEV2"]
