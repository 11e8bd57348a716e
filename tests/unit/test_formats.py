"""The contract of wire formats: events or a named reject, whatever the bytes; never an exception."""

from typing import Any, Final, get_args, get_type_hints

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.events import Actor, Approval, Destination, Event, Permission, Reject, Target
from detector.formats import REGISTRY, Decode
from detector.formats.parts import Decoded, Part, events_of
from detector.formats.repair import repaired
from tests.support import audit_logs, cloudtrail, kubernetes, ocsf, wild
from tests.support.checks import must_fail
from tests.support.cloudevents import cloudevent
from tests.support.events import event
from tests.support.otel import message, span

REASONS: Final = frozenset(get_args(get_type_hints(Reject)["reason"]))

# One good message of each format, with every optional part, to be torn and bent.
GOOD: Final[dict[str, bytes]] = {
    "cloudtrail": cloudtrail.message(
        cloudtrail.record(
            "s3:PutBucketPolicy",
            {"bucketName": "copy", "bucketPolicy": {"Statement": [{"Effect": "Allow", "Principal": {"AWS": ["*"]}}]}},
            resources=[{"ARN": "arn:aws:s3:::copy", "accountId": "111122223333"}],
            additionalEventData={"bytesTransferredOut": 89.5},
        ),
        cloudtrail.record("iam:CreateUser", {"userName": "copy"}, errorCode="AccessDenied"),
    ),
    "native": msgspec.json.encode(
        event(
            kind="permission",
            actor=Actor(id="agent-1", kind="agent", role="mover", session="s-1"),
            target=Target(uri="s3://bucket/key", type="bucket", sensitivity="restricted", container_size=10),
            destination=Destination(host="drop.example", zone="external"),
            permission=Permission(change="grant", audience="public", audience_count=9000),
            approval=Approval(required=True, id="A-1"),
            bytes_out=1000,
            attributes={"tool": "copy", "tries": [1, 2.5, None]},
        )
    ),
    "gcp_audit": audit_logs.gcp(
        "SetIamPolicy",
        "cloudresourcemanager",
        serviceData=audit_logs.deltas(
            ("ADD", "roles/owner", "allUsers"), ("REMOVE", "roles/viewer", "user:a@b.example")
        ),
        authorizationInfo=[{"permission": "resourcemanager.projects.setIamPolicy", "granted": True}],
    ),
    "github": audit_logs.github("repo.access", visibility="public", previous_visibility="private", data={"a": [1.5]}),
    "ocsf": msgspec.json.encode(
        [
            ocsf.call(
                "PutBucketPolicy",
                3,
                "s3.amazonaws.com",
                api={
                    "operation": "PutBucketPolicy",
                    "service": {"name": "s3.amazonaws.com"},
                    "request": {"data": '{"bucketName": "b", "bucketPolicy": {"Statement": [{"Effect": "Allow"}]}}'},
                },
                unmapped={"responseElements.a.b": "[1.5]", "additionalEventData": {"bytesTransferredOut": 9.5}},
            ),
            ocsf.record(3006, 3, group={"name": "copy"}, user=ocsf.BOB, traffic={"bytes_out": 1}, enrichments=[{}]),
        ]
    ),
    "okta": audit_logs.okta(
        "user.account.privilege.grant",
        ("User", "bob@acme.example"),
        debugContext={"debugData": {"privilegeGranted": "Super administrator", "behaviors": "{New IP=POSITIVE}"}},
    ),
    "otel": message(
        span(
            "execute_tool",
            **{
                "gen_ai.tool.name": "send_email",
                "gen_ai.tool.type": "copy",
                "gen_ai.tool.call.arguments": '{"recipients": ["ann@corp.example"], "body": "see https://x.example/a"}',
                "gen_ai.tool.call.result": "- sender: bob@corp.example\n  body: 'two\n\n    lines'",
                "server.port": 443,
                "tags": ["a", {"b": 1.5}],
            },
        )
    ),
    "kubernetes": msgspec.json.encode(
        kubernetes.audited(
            "patch",
            "clusterrolebindings",
            {"subjects": [{"kind": "Group", "name": "system:authenticated"}], "metadata": {"labels": {"a": "copy"}}},
            responseObject=kubernetes.binding("cluster-admin"),
            impersonatedUser={"username": "root", "groups": ["system:masters"]},
        )
    ),
}

GOOD["cloudevents"] = b"[%s]" % b",".join(
    cloudevent(GOOD[inner], type="copy", subject="copy") for inner in ("native", "otel", "cloudtrail")
)
GOOD["auto"] = b"[%s]" % b",".join(GOOD[inner] for inner in ("native", "kubernetes", "okta", "github"))

formats = pytest.mark.parametrize("name", REGISTRY)
quickly = pytest.mark.timeout(60)
unhurried = settings(deadline=None)


def is_json(raw: bytes) -> bool:
    """Whether it has the shape of JSON, perhaps of several values, whatever their letters."""
    try:
        msgspec.json.decode(repaired(raw), type=msgspec.Raw)
    except msgspec.DecodeError as error:
        return "trailing characters" in str(error)
    return True


def check_answer(decode: Decode, raw: bytes) -> Decoded:
    """Whatever the bytes: events, or a reject that has them, a reason that is known, and a sentence."""
    try:
        answer = decode(raw)
    except Exception as error:
        raise AssertionError(f"raised {error!r}") from error
    if isinstance(answer, Reject):
        check_reject(answer, raw)
        return answer
    assert isinstance(answer, tuple)
    assert answer or is_json(raw)  # nothing of ours may be in it, but it must have been understood
    for item in answer:
        assert isinstance(item, Event | Part)
        if isinstance(item, Part):
            assert isinstance(item.raw, bytes)
            assert isinstance(item.content, Event | Reject)
            if isinstance(item.content, Reject):
                check_reject(item.content, item.raw)
    return answer


def check_reject(reject: Reject, raw: bytes) -> None:
    assert reject.reason in REASONS
    assert reject.detail
    assert reject.raw == raw


def refused(name: str, raw: bytes) -> str:
    answer = check_answer(REGISTRY[name], raw)
    assert isinstance(answer, Reject), answer
    return answer.reason


def raises(raw: bytes) -> Decoded:
    """A format that leaves its library's exceptions to others."""
    return (msgspec.json.decode(raw, type=Event),)


def shrugs(raw: bytes) -> Decoded:
    """A format that says nothing of what it does not understand."""
    return () if raw == b"{" else Reject("not_json", "", raw)


def mislays(raw: bytes) -> Decoded:
    """A format that gives a part of a message other bytes than those it is about."""
    return (Part(Reject("not_json", "no", raw), b""),)


def test_the_contract_fails_formats_that_break_it() -> None:
    must_fail(lambda: check_answer(raises, b"{"))
    must_fail(lambda: check_answer(shrugs, b"{"))
    must_fail(lambda: check_answer(shrugs, b"["))
    must_fail(lambda: check_answer(mislays, b"["))


def test_every_format_has_a_good_message() -> None:
    assert set(GOOD) == set(REGISTRY)
    for name, raw in GOOD.items():
        answer = check_answer(REGISTRY[name], raw)
        assert isinstance(answer, tuple)
        assert events_of(answer)


@formats
@unhurried
@given(raw=st.binary(max_size=300))
def test_arbitrary_bytes_are_answered(name: str, raw: bytes) -> None:
    check_answer(REGISTRY[name], raw)


@formats
@unhurried
@given(data=st.data())
def test_a_good_message_cut_off_anywhere_is_refused(name: str, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(GOOD[name]) - 1))
    assert refused(name, GOOD[name][:cut]) in {"empty", "not_json"}


@formats
@unhurried
@given(data=st.data())
def test_a_good_message_with_bytes_changed_is_answered(name: str, data: st.DataObject) -> None:
    raw = bytearray(GOOD[name])
    for place, value in data.draw(st.lists(st.tuples(st.integers(0, len(raw) - 1), st.integers(0, 255)), max_size=5)):
        raw[place] = value
    check_answer(REGISTRY[name], bytes(raw))


@formats
@quickly
@pytest.mark.parametrize("piece", [b"[", b'{"a":', b'{"attributes":{"a":', b'[{"id":'])
def test_deep_nesting_is_refused(name: str, piece: bytes) -> None:
    assert refused(name, piece * 10_000) in {"not_json", "wrong_shape"}


@formats
@quickly
def test_a_message_of_ten_megabytes_is_refused_unread(name: str) -> None:
    padding = GOOD[name].replace(b'"copy"', b'"' + b"x" * 10_000_000 + b'"')
    assert refused(name, padding) == "too_large"
    assert refused(name, b"[" * 10_000_000) == "too_large"
    assert refused(name, b" " * 10_000_000) == "empty"


@formats
@pytest.mark.parametrize(("raw", "reason"), [(b"", "empty"), (b" \r\n\t", "empty"), (b"\x00", "not_json")])
def test_nothing_is_refused_by_name(name: str, raw: bytes, reason: str) -> None:
    assert refused(name, raw) == reason


def native(**changes: Any) -> bytes:
    """A good native message with fields replaced, as raw JSON: `native(bytes_out=b"1e308")`."""
    plain = {"id": b'"e-1"', "time": b'"2026-03-02T09:00:00Z"', "actor": b'{"id": "a"}', "kind": b'"access"', **changes}
    return b"{" + b",".join(b'"%s": %s' % (name.encode(), value) for name, value in plain.items()) + b"}"


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("bytes_out", b"1e308", "wrong_shape"),
        ("bytes_out", b"-1", "wrong_shape"),
        ("bytes_out", b"1180591620717411303424", "wrong_shape"),
        ("bytes_out", b"9223372036854775808", "wrong_shape"),
        ("bytes_out", b"NaN", "not_json"),
        ("bytes_out", b"Infinity", "not_json"),
        ("bytes_out", b'"12"', "wrong_shape"),
        ("bytes_out", b"1.5", "wrong_shape"),
        ("bytes_out", b"null", "wrong_shape"),
        ("bytes_out", b"true", "wrong_shape"),
        ("attributes", b'{"a": 1e999}', "wrong_shape"),
        ("attributes", b"[]", "wrong_shape"),
        ("actor", b'"agent-1"', "wrong_shape"),
        ("actor", b'{"id": ""}', "wrong_shape"),
        ("actor", b'{"id": "%s"}' % (b"x" * 513), "wrong_shape"),
        ("kind", b'"teleport"', "wrong_shape"),
        ("kind", b'"control"', "wrong_shape"),
        ("time", b'"yesterday"', "wrong_shape"),
        ("time", b'"2026-03-02T09:00:00"', "wrong_shape"),
        ("time", b"1772442000", "wrong_shape"),
        ("time", b'"0001-01-01T00:00:00+14:00"', "wrong_shape"),
        ("time", b'"9999-12-31T23:59:59-14:00"', "wrong_shape"),
    ],
)
def test_what_is_wrong_with_a_native_field_is_named(field: str, value: bytes, reason: str) -> None:
    assert refused("native", native(**{field: value})) == reason


def test_the_control_group_of_native_fields_is_good() -> None:
    assert isinstance(REGISTRY["native"](native()), tuple)


def test_of_a_repeated_key_the_last_one_counts() -> None:
    decoded = REGISTRY["native"](native()[:-1] + b', "id": "e-2"}')
    assert isinstance(decoded, tuple)
    assert events_of(decoded)[0].id == "e-2"


def test_an_expiry_at_the_end_of_time_is_good() -> None:
    never = b'{"change": "grant", "expires_at": "9999-12-31T23:59:59-14:00"}'
    assert isinstance(REGISTRY["native"](native(permission=never)), tuple)


def test_control_characters_stay_data() -> None:
    decoded = REGISTRY["native"](native(id=b'"\\u0000\\u001b[31m\x7f"'))
    assert isinstance(decoded, tuple)
    assert events_of(decoded)[0].id == "\x00\x1b[31m\x7f"


def test_unknown_fields_are_passed_over() -> None:
    assert REGISTRY["native"](native(colour=b'["red"]')) == REGISTRY["native"](native())


@unhurried
@given(wild.events())
def test_a_native_event_comes_back_as_it_was(made: Event) -> None:
    assert REGISTRY["native"](msgspec.json.encode(made)) == (made,)
