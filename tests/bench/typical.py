"""A typical message of each format: what a producer sends all day, not what it may send."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from detector.events import Actor, Destination, Event, Target
from tests.bench import contents
from tests.support import audit_logs, cloudtrail, kubernetes, ocsf, otel
from tests.support.events import event


class Typical(NamedTuple):
    """Messages of one kind and how many records each holds; `like` are the same in JSON, where they are none."""

    raws: tuple[bytes, ...]
    records: int
    like: tuple[bytes, ...]

    @classmethod
    def of(cls, *raws: bytes, records: int = 1) -> "Typical":
        """Messages in JSON."""
        return cls(raws, records, raws)


_BATCH: Final = 20
_DIFFERENT: Final = 4000  # messages: more than any cache holds of what is in them

_TOOL: Final = {
    "gen_ai.tool.name": "search_mail",
    "gen_ai.tool.type": "function",
    "server.address": "mail.corp.example",
}
_MODEL: Final = {
    "gen_ai.provider.name": "example",
    "gen_ai.request.model": "large-4",
    "gen_ai.usage.input_tokens": 1832,
    "gen_ai.usage.output_tokens": 211,
}


def native_event() -> Event:
    """An upload, about 600 bytes of JSON."""
    return event(
        id="01JNV0Q9T4Y6W8Z2B3C4D5E6F7",
        kind="transfer",
        action="export",
        actor=Actor(
            id="data-pipeline-agent-07", role="data-pipeline", session="s-8d1f22c6a0", on_behalf_of="mei.ivanov"
        ),
        target=Target(uri="warehouse://analytics/orders_2026_q1", type="table", sensitivity="internal"),
        destination=Destination(host="ingest.lakehouse.example", account="corp-lakehouse", zone="approved"),
        bytes_out=61_822_113,
        records=182_334,
        trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
        parent_id="00f067aa0ba902b7",
        attributes={"tool": "exporter", "tool_version": "4.2.1", "attempt": 1},
    )


def spans() -> bytes:
    """Tool calls, and a chat for every ninth, without contents: by the conventions these are captured on demand."""
    found = []
    for n in range(_BATCH):
        if n % 10 == 0:
            found.append(otel.span("chat", n + 1, **_MODEL))
        else:
            found.append(otel.span("execute_tool", n + 1, **{**_TOOL, "gen_ai.tool.call.id": f"call_{n}"}))
    return otel.message(*found)


def trail() -> bytes:
    """Reads of objects mostly, some listings, a role's policy changed."""
    read = {"bucketName": "corp-reports", "key": "2026/03/report-18.parquet", "Host": "corp-reports.s3.example"}
    moved = {"bytesTransferredOut": 182_334.0, "bytesTransferredIn": 0.0, "SignatureVersion": "SigV4"}
    arn = "arn:aws:s3:::corp-reports"
    kept = [{"ARN": f"{arn}/{read['key']}", "type": "AWS::S3::Object"}, {"ARN": arn, "type": "AWS::S3::Bucket"}]
    policy = cloudtrail.policy({"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": [f"{arn}/*"]})
    attached = {"roleName": "mover", "policyName": "read", "policyDocument": msgspec.json.encode(policy).decode()}
    records: list[Mapping[str, Any]] = [
        cloudtrail.record("s3:GetObject", read, additionalEventData=moved, resources=kept, readOnly=True)
    ] * (_BATCH - 4)
    records += [cloudtrail.record("ec2:DescribeInstances", {"maxResults": 100}, readOnly=True)] * 3
    return cloudtrail.message(*records, cloudtrail.record("iam:PutRolePolicy", attached))


def messages() -> dict[str, Typical]:
    """By what is measured."""
    encode = msgspec.json.encode
    plain, bare = encode(native_event()), spans()
    sizes = {f"otel ({name})": Typical.of(*map(make, range(_DIFFERENT))) for name, make in contents.SIZES.items()}
    asked = kubernetes.audited("list", "pods", namespace="web", requestURI="/api/v1/namespaces/web/pods?limit=500")
    around = {"specversion": "1.0", "id": "A-1", "source": "/agents", "type": "example.agent.event",
              "datacontenttype": "application/json", "data": msgspec.Raw(plain)}  # fmt: skip
    return {
        "native": Typical.of(plain),
        "otel": Typical.of(bare, records=_BATCH),
        "otel (protobuf)": Typical((otel.protobuf(bare),), _BATCH, (bare,)),
        **sizes,
        "otel (contents)": Typical.of(*map(contents.batch, range(_DIFFERENT // _BATCH)), records=_BATCH),
        "cloudtrail": Typical.of(trail(), records=_BATCH),
        "kubernetes": Typical.of(encode(asked)),
        "gcp_audit": Typical.of(audit_logs.gcp("storage.objects.get", "storage", "projects/_/buckets/corp/objects/a")),
        "okta": Typical.of(audit_logs.okta("user.session.start", ("User", "ann@acme.example"))),
        "github": Typical.of(audit_logs.github("repo.download_zip", visibility="private")),
        "ocsf": Typical.of(encode(ocsf.call("GetReport", 2, resources=[ocsf.BILLING]))),
        "cloudevents": Typical.of(encode(around)),
        "auto": Typical.of(plain),
    }
