"""Audit logs whose fields are not what they should be: events or a named reject, never an exception."""

from typing import Any, Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.events import Event, Reject
from detector.formats import REGISTRY
from detector.formats.audit import BadRecordError, when
from detector.formats.parts import Part, events_of
from detector.formats.repair import repaired
from tests.support.audit_logs import deltas, gcp, github, okta, webhook

_QUERY: Final = {"jobChange": {"job": {"jobConfig": {"queryConfig": {"query": "SELECT 1"}, "extractConfig": None}}}}
_EXTRACT: Final = {"jobChange": {"job": {"jobConfig": {"extractConfig": {"destinationUris": ["gs://a/b"]}}}}}
_RULE: Final = {"sourceRanges": ["0.0.0.0/0"], "alloweds": [{"IPProtocol": "tcp", "ports": ["22"]}]}
_SQL: Final = {"body": {"settings": {"ipConfiguration": {"authorizedNetworks": [{"value": "::/0"}]}}}}
_METHODS: Final = {
    "bigquery": ("InsertJob", "UpdateDataset"),
    "cloudkms": ("UpdateCryptoKeyVersion",),
    "cloudsql": ("cloudsql.instances.patch", "cloudsql.instances.export"),
    "compute": ("v1.compute.firewalls.insert", "v1.compute.subnetworks.patch", "v1.compute.instances.setMetadata"),
    "iam": ("SetIamPolicy", "CreateRole", "CreateServiceAccountKey"),
    "iamcredentials": ("SignJwt",),
    "k8s": ("io.k8s.authorization.rbac.v1.rolebindings.create",),
    "logging": ("UpdateSink", "CreateSink", "UpdateBucket"),
    "orgpolicy": ("UpdatePolicy",),
    "storage": ("storage.buckets.update", "storage.setIamPermissions"),
}
_CONDITION: Final = {"expression": 'request.time < timestamp("2026-03-03T00:00:00Z")'}
_REQUEST: Final = {
    **_RULE,
    **_SQL,
    "policy": {"bindings": [{"members": ["allUsers"], "role": "r", "condition": _CONDITION}], "spec": {"reset": True}},
    "sink": {"exclusions": [{"filter": "*"}], "destination": "d"},
    "bucket": {"retentionDays": 1},
    "access": [{"role": "READER", "specialGroup": "allUsers"}],
    "cryptoKeyVersion": {"state": "DISABLED"},
    "roleRef": {"name": "cluster-admin"},
    "subjects": [{"kind": "User", "name": "a"}],
    "lifetime": "60s",
}

# (format, a good message): one for every reader of arguments.
SEEDS: Final = [
    *(
        ("gcp_audit", gcp(method, service, request=_REQUEST, metadata=metadata, serviceData=data))
        for service, methods in _METHODS.items()
        for method in methods
        for metadata, data in ((_QUERY, deltas(("ADD", "r", "user:a@b.example"))), (_EXTRACT, {}))
    ),
    (
        "okta",
        okta("user.account.privilege.grant", ("User", "b"), debugContext={"debugData": {"behaviors": ["A=POSITIVE"]}}),
    ),
    ("github", github("hook.create", config={"url": "https://a.example"}, events=["push"], admin_enforced=True)),
    ("github", github("protected_branch.update_x", data={"config": {}}, allow_deletions_enforcement_level=1)),
    ("github", webhook(action="completed", workflow_job={"run_id": 1, "steps": [{"name": "download-artifact"}]})),
    ("github", webhook(action="edited", changes={"permission": {"to": "a"}}, membership={"user": {"login": "b"}})),
]

JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=4,
)


def places(tree: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The ways to every value in a tree."""
    found = [way] if way else []
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return found + [place for name, value in inner for place in places(value, (*way, name))]


def test_every_seed_is_good() -> None:
    for name, raw in SEEDS:
        assert isinstance(REGISTRY[name](raw), tuple), raw


@pytest.mark.timeout(300)
@settings(deadline=None, max_examples=1500)
@given(data=st.data())
def test_any_field_may_hold_anything(data: st.DataObject) -> None:
    name, raw = data.draw(st.sampled_from(SEEDS))
    tree = msgspec.json.decode(raw)
    *way, last = data.draw(st.sampled_from(places(tree)))
    holder = tree
    for step in way:
        holder = holder[step]
    holder[last] = data.draw(JSON)
    answer = REGISTRY[name](msgspec.json.encode(tree))
    if isinstance(answer, Reject):
        assert answer.reason == "wrong_shape"
    else:
        for found in answer:  # within the bounds of the canonical event: it comes back from the store
            assert msgspec.json.decode(msgspec.json.encode(found), type=Event) == found


@pytest.mark.parametrize("name", ["gcp_audit", "okta", "github"])
def test_ids_are_the_sources_own_or_the_same_for_the_same_bytes(name: str) -> None:
    raw = next(raw for seed, raw in SEEDS if seed == name)
    bare = msgspec.json.decode(raw)
    for field in ("insertId", "uuid", "_document_id"):
        bare.pop(field, None)
    one, again = REGISTRY[name](msgspec.json.encode(bare)), REGISTRY[name](msgspec.json.encode(bare))
    assert isinstance(one, tuple)
    assert one == again
    several = REGISTRY[name](msgspec.json.encode([bare, bare]))
    assert isinstance(several, tuple)
    assert len({e.id for e in events_of(several)}) == 2 * len(one), "the like at another place is another event"
    bare["extra"] = 1
    other = REGISTRY[name](msgspec.json.encode(bare))
    assert isinstance(other, tuple)
    assert {e.id for e in events_of(one)}.isdisjoint(e.id for e in events_of(other))


@pytest.mark.parametrize("name", ["gcp_audit", "okta", "github"])
@pytest.mark.parametrize("bad", [b"{}", b"7", b"null", b'{"actor":[[[' + b"[" * 9000 + b"]" * 9000 + b"]]]}"])
def test_a_bad_entry_of_a_list_is_refused_alone_with_its_own_bytes(name: str, bad: bytes) -> None:
    good = next(raw for seed, raw in SEEDS if seed == name)
    alone, several = REGISTRY[name](good), REGISTRY[name](b"[%s, %s,%s]" % (good, bad, good))
    assert isinstance(alone, tuple)
    assert isinstance(several, tuple)
    parts = [part for part in several if isinstance(part, Part)]
    assert [part.raw for part in parts] == [good] * len(alone) + [repaired(b"[%b]" % bad)[1:-1]] + [good] * len(alone)
    assert [part.content for part in parts if part.raw == good] == [*alone, *alone]
    assert isinstance(parts[len(alone)].content, Reject)


@pytest.mark.parametrize("value", ["yesterday", 1e300, "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_what_is_no_time_is_refused(value: str | float) -> None:
    with pytest.raises(BadRecordError):
        when(value)


def test_times_are_read_in_every_notation() -> None:
    written: list[str | float] = [
        "2026-03-02T09:00:00Z",
        "2026-03-02 09:00:00",
        "2026-03-02T10:00:00+01:00",
        1_772_442_000,
        1_772_442_000_000,
    ]
    assert len({when(value) for value in written}) == 1
