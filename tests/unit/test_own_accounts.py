"""Other accounts of one's own house: by the operator's lists, and by the trails that are read."""

import json
from datetime import datetime, timedelta
from typing import Any

import msgspec

from detector import assembly
from detector.config import Config
from detector.destinations import DestinationSettings
from detector.detectors.base import START
from detector.events import Envelope, Event
from tests.support import cloudtrail

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
    scoring.open(("t", 0))
    found = []
    for offset, event in enumerate(events):
        known = labels.fill(event)
        scored = scoring.step(Envelope(known, "t", 0, offset, event.time.timestamp(), b""))
        assert scored.verdict == "scored", scored
        found.append(min((f.severity for f in scored.findings if f.rule == "shared_outside"), default=""))
    return found


def test_a_strangers_account_is_another_house() -> None:
    assert severities(Config(), trust(OWN)) == ["SEV2"]


def test_accounts_on_the_operators_lists_are_of_the_house() -> None:
    for destinations in (DestinationSettings(internal=(OWN,)), DestinationSettings(approved=(OWN,))):
        config = Config(destinations=destinations)
        assert severities(config, trust(OWN), trust(STRANGE, 1)) == ["", "SEV2"]


def test_accounts_whose_trails_are_read_are_of_the_house_from_the_next_hour_on() -> None:
    read = at(0, "ec2:DescribeInstances", recipientAccountId=OWN)
    assert severities(Config(), read, trust(OWN, 1), trust(OWN, 90), trust(STRANGE, 91)) == ["", "SEV2", "", "SEV2"]


def test_a_stranger_in_the_houses_trail_makes_its_account_no_house() -> None:
    stranger = {"type": "AWSAccount", "principalId": "AIDAEXAMPLE", "accountId": STRANGE}
    read = at(0, "s3:GetObject", {"bucketName": "www", "key": "a"}, userIdentity=stranger)
    assert read.attributes["outside"] is True
    assert "outside" not in trust(OWN).attributes
    assert severities(Config(), read, trust(STRANGE, 90)) == ["", "SEV2"]
