"""One CloudTrail record, and what can be asked of it: its parameters by any spelling, its account, its target."""

import re
from collections.abc import Iterator
from functools import cached_property
from typing import Any, Final

import msgspec

from detector.events import Target

_VERSION: Final = re.compile(r"\d{4}_?\d{2}_?\d{2}(v\d+)?$")
_ALL: Final = "*"


class Issuer(msgspec.Struct, rename="camel"):
    """Who issued a session: the role behind it."""

    arn: str | None = None


class SessionAttributes(msgspec.Struct, rename="camel"):
    """How a session began."""

    mfa_authenticated: str | bool | None = None


class Session(msgspec.Struct, rename="camel"):
    """The temporary credentials that were used."""

    session_issuer: Issuer | None = None
    attributes: SessionAttributes | None = None
    source_identity: str | None = None


class Identity(msgspec.Struct, rename="camel"):
    """The caller."""

    type: str | None = None
    arn: str | None = None
    principal_id: str | None = None
    account_id: str | None = None
    access_key_id: str | None = None
    user_name: str | None = None
    invoked_by: str | None = None
    session_context: Session | None = None


class Resource(msgspec.Struct):
    """Something that the call concerned."""

    upper_arn: str | None = msgspec.field(default=None, name="ARN")
    arn: str | None = None
    account_id: str | None = msgspec.field(default=None, name="accountId")
    type: str | None = None


class Record(msgspec.Struct, rename="camel"):
    """The fields of a record that are read. The parameters stay as they came: every operation has its own."""

    event_name: str | None = None
    event_source: str | None = None
    event_time: str | None = None
    event_id: str | None = msgspec.field(default=None, name="eventID")
    event_type: str | None = None
    aws_region: str | None = None
    source_ip: str | None = msgspec.field(default=None, name="sourceIPAddress")
    user_agent: str | None = None
    user_identity: Identity | None = None
    error_code: str | None = None
    error_message: str | None = None
    request_id: str | None = msgspec.field(default=None, name="requestID")
    read_only: bool | str | None = None
    recipient_account_id: str | None = None
    request_parameters: Any = None
    response_elements: Any = None
    additional_event_data: Any = None
    resources: list[Resource] | None = None
    session_credential_from_console: bool | str | None = None
    vpc_endpoint_id: str | None = None


class Call:
    """A record as its meaning is looked up: `key` is the operation by its IAM name, "iam:CreateUser"."""

    __slots__ = ("__dict__", "key", "operation", "params", "record", "service")

    def __init__(self, record: Record) -> None:
        self.record = record
        self.service = (record.event_source or "").partition(".")[0]
        name = record.event_name or ""
        self.operation = _VERSION.sub("", name) if name[-1:].isdigit() else name
        self.key = f"{self.service}:{self.operation}"
        params = record.request_parameters
        self.params: dict[str, Any] = params if type(params) is dict else {}

    @cached_property
    def _lower(self) -> dict[str, Any]:
        # The case of a parameter's first letters depends on the service; EC2 wraps some in "{operation}Request".
        plain = {key.lower(): value for key, value in self.params.items()}
        wrapped = plain.get(f"{self.operation}request".lower())
        return plain | {key.lower(): value for key, value in wrapped.items()} if isinstance(wrapped, dict) else plain

    def get(self, *names: str) -> Any:
        """The first of these parameters (lower case) that is there, whatever its case; None without one."""
        return next((value for name in names if (value := self._lower.get(name)) is not None), None)

    def text(self, *names: str) -> str:
        """The first of these parameters that is a word or a number, as text; "" without one."""
        for name in names:
            value = self._lower.get(name)
            if isinstance(value, list) and len(value) == 1:
                value = value[0]
            if isinstance(value, dict):
                value = value.get("content")
            if value and type(value) in {str, int}:
                return str(value)[:2048]
        return ""

    def flag(self, *names: str) -> bool | None:
        """A switch, given as a boolean or as its name, perhaps as `{"value": true}`; None without one."""
        return truth(self.get(*names))

    @cached_property
    def account(self) -> str:
        """The account where the call took place; "" if nothing tells."""
        identity = self.record.user_identity
        return (self.record.recipient_account_id or (identity and identity.account_id) or "")[:64]

    @cached_property
    def region(self) -> str:
        """The region, "" where the record names none."""
        return (self.record.aws_region or "")[:64]

    def arn(self, service: str, rest: str) -> str:
        """A name within this account and region as an ARN; what is an ARN already stays."""
        if rest.startswith("arn:"):
            return rest
        region = "" if service in {"iam", "organizations"} else self.region
        return f"arn:aws:{service}:{region}:{self.account}:{rest}"

    def user(self, name: str) -> str:
        """A user's ARN."""
        return self.arn("iam", f"user/{name}")

    def target(self) -> Target:
        """What was acted on: a bucket or object, what the parameters name, else the service in its account."""
        if self.service in {"s3", "s3express"} and (bucket := self.text("bucketname", "bucket")):
            key = self.text("key")
            return Target(f"s3://{bucket}/{key}"[:4096] if key else f"s3://{bucket}", "object" if key else "bucket")
        for name, (service, kind) in _NAMES.get(self.service, {}).items():
            if value := self.text(name):
                uri = value if value.startswith(("arn:", "https:")) else self.arn(service, f"{kind}{value}")
                return Target(uri[:4096], kind.rstrip("/:") or service)
        for uri in self._arns():
            return Target(uri[:4096], _type(uri))
        return Target(self.arn(self.service or "aws", _ALL), self.service[:512])

    def _arns(self) -> Iterator[str]:
        """ARNs that the parameters name at the top, then those of the record's resources."""
        for value in self._lower.values():
            if isinstance(value, str) and value.startswith("arn:") and value.count(":") >= 5:
                yield value
        for resource in self.record.resources or ():
            if name := resource.upper_arn or resource.arn:
                yield name


def truth(value: Any) -> bool | None:
    """A switch in any of the spellings that records have; None if it is none.

    >>> truth({"value": "false"}), truth("Enabled"), truth("all")
    (False, True, None)
    """
    if isinstance(value, dict):
        value = value.get("value", value.get("Value"))
    if isinstance(value, bool):
        return value
    word = value.lower() if isinstance(value, str) else ""
    return _TRUTH.get(word)


_TRUTH: Final = {"true": True, "enabled": True, "on": True, "false": False, "disabled": False, "off": False}


def inner(call: Call, path: str) -> Any:
    """A parameter, perhaps within others: "bucketloggingstatus.loggingenabled"."""
    first, *rest = path.split(".")
    value = call.get(first)
    for name in rest:
        value = next((v for k, v in value.items() if k.lower() == name), None) if isinstance(value, dict) else None
    return value


def items(value: Any) -> list[Any]:
    """A list, given plainly or as EC2 writes it, `{"items": [...]}`; a single thing is a list of one."""
    if isinstance(value, dict):
        value = value.get("items", value.get("member", value))
    if value is None or value == "":
        return []
    return value if isinstance(value, list) else [value]


def _type(arn: str) -> str:
    parts = arn.split(":", 5)
    return re.split("[/:]", parts[5], maxsplit=1)[0][:512] if len(parts) == 6 and parts[2] != "s3" else parts[2][:512]


# By service: the parameters that name a thing (lower case, the first that is there counts) -> its place in an ARN.
_RDS: Final = {
    "dbsnapshotidentifier": ("rds", "snapshot:"),
    "dbclustersnapshotidentifier": ("rds", "cluster-snapshot:"),
    "targetdbsnapshotidentifier": ("rds", "snapshot:"),
    "dbinstanceidentifier": ("rds", "db:"),
    "dbclusteridentifier": ("rds", "cluster:"),
    "dbsecuritygroupname": ("rds", "secgrp:"),
    "sourcearn": ("rds", ""),
}
_TRAIL: Final = {"name": ("cloudtrail", "trail/"), "trailname": ("cloudtrail", "trail/")}
_WEB_ACL: Final = {"webaclid": ("wafv2", "webacl/"), "id": ("wafv2", "webacl/"), "name": ("wafv2", "webacl/")}
_NAMES: Final[dict[str, dict[str, tuple[str, str]]]] = {
    "iam": {
        "rolename": ("iam", "role/"),
        "groupname": ("iam", "group/"),
        "instanceprofilename": ("iam", "instance-profile/"),
        "username": ("iam", "user/"),
        "policyarn": ("iam", "policy/"),
        "policyname": ("iam", "policy/"),
        "serialnumber": ("iam", "mfa/"),
    },
    "sts": {"rolearn": ("iam", "role/"), "name": ("sts", "federated-user/")},
    "kms": {"keyid": ("kms", "key/"), "targetkeyid": ("kms", "key/"), "aliasname": ("kms", "")},
    "ec2": {
        "imageid": ("ec2", "image/"),
        "snapshotid": ("ec2", "snapshot/"),
        "sourcesnapshotid": ("ec2", "snapshot/"),
        "networkaclid": ("ec2", "network-acl/"),
        "groupid": ("ec2", "security-group/"),
        "groupname": ("ec2", "security-group/"),
        "volumeid": ("ec2", "volume/"),
        "instanceid": ("ec2", "instance/"),
        "flowlogid": ("ec2", "vpc-flow-log/"),
        "keyname": ("ec2", "key-pair/"),
        "vpcid": ("ec2", "vpc/"),
        "serviceid": ("ec2", "vpc-endpoint-service/"),
    },
    "rds": _RDS,
    "lambda": {"functionname": ("lambda", "function:"), "layername": ("lambda", "layer:")},
    "secretsmanager": {"secretid": ("secretsmanager", "secret:"), "name": ("secretsmanager", "secret:")},
    "ssm": {
        "name": ("ssm", "parameter/"),
        "path": ("ssm", "parameter"),
        "target": ("ec2", "instance/"),
        "documentname": ("ssm", "document/"),
    },
    "cloudtrail": _TRAIL,
    "guardduty": {"detectorid": ("guardduty", "detector/")},
    "config": {
        "configurationrecordername": ("config", "config-recorder/"),
        "deliverychannelname": ("config", "delivery-channel/"),
        "configrulename": ("config", "config-rule/"),
    },
    "ecr": {"repositoryname": ("ecr", "repository/")},
    "sns": {"topicarn": ("sns", ""), "name": ("sns", "")},
    "sqs": {"queueurl": ("sqs", ""), "queuename": ("sqs", "")},
    "dynamodb": {"tablename": ("dynamodb", "table/"), "tablearn": ("dynamodb", "table/")},
    "logs": {"loggroupname": ("logs", "log-group:")},
    "es": {"domainname": ("es", "domain/")},
    "eks": {"name": ("eks", "cluster/"), "clustername": ("eks", "cluster/")},
    "redshift": {"clusteridentifier": ("redshift", "cluster:"), "snapshotidentifier": ("redshift", "snapshot:")},
    "elasticfilesystem": {"filesystemid": ("elasticfilesystem", "file-system/")},
    "cloudformation": {"stackname": ("cloudformation", "stack/")},
    "organizations": {"policyid": ("organizations", "policy/"), "accountid": ("organizations", "account/")},
    "route53resolver": {"resolverquerylogconfigid": ("route53resolver", "resolver-query-log-config/")},
    "wafv2": _WEB_ACL,
    "waf": _WEB_ACL,
    "backup": {"recoverypointarn": ("backup", ""), "backupvaultname": ("backup", "backup-vault:")},
}
