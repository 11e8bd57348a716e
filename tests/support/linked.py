"""A store whose rows are covered by links, for tests of what can be done to it."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from detector.events import Envelope
from detector.exposure_versions import ExposureVersion
from detector.integrity.anchor import Signed, Signer
from detector.integrity.chain import Link
from detector.records import ConfigVersion, OperatorAction
from detector.sinks.base import Batch
from detector.sinks.clickhouse import ClickHouseSink
from detector.sinks.clickhouse_links import LinkWriter
from detector.store.anchors import Anchors
from detector.store.client import Store
from detector.store.proof import Proof
from detector.store.verify import Verification
from detector.store.verify_links import Chains
from tests.support.nouns import T0, a_finding, an_alert, an_envelope

KEY: Final = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
NOW: Final = int((T0 + timedelta(days=1)).timestamp() * 1e6)


class Clock:
    """Unix seconds that move by hand."""

    def __init__(self) -> None:
        self.now = T0.timestamp() + 3600

    def __call__(self) -> float:
        return self.now


class Linked:
    """A writer of its own chain. `clock` is moved by a second with each write."""

    def __init__(self, store: Store, name: str = "w-1", clock: Clock | None = None) -> None:
        self.store = store
        self.clock = clock or Clock()
        self.links = LinkWriter(store.client, store.database, name, self.clock)
        self.sink = ClickHouseSink(store.client, database=store.database, links=self.links)
        self.signer = Signer(KEY)
        self.anchored: list[Signed] = []

    def write(self, batch: Batch) -> None:
        """Write, as the runner does."""
        self.clock.now += 1.0
        assert self.sink.write(batch) == []

    def anchor(self) -> Signed:
        """Anchor the chain as it is."""
        assert self.links.head is not None
        self.anchored.append(self.signer.sign(self.links.head, int(self.clock.now * 1e6)))
        return self.anchored[-1]


def rows(numbers: Sequence[int], **changes: object) -> list[tuple[Envelope, str]]:
    """Events at these offsets of one partition."""
    return [(an_envelope(number, **changes), "scored") for number in numbers]


def everything(writer: Linked) -> None:
    """Something in every table: events under three links, the rest under one each."""
    writer.write(Batch(rows(range(10))))
    writer.write(Batch(rows(range(10, 20))))
    writer.write(Batch(rows(range(20, 30)), [a_finding(n) for n in range(3)], [an_alert(1), an_alert(2)]))
    writer.write(Batch(exposures=[an_exposure(1)]))
    writer.sink.write_operator_actions([an_action(1)])
    writer.sink.write_config_versions([a_config()])
    writer.write(Batch(rows(range(30, 40))))


def verified(store: Store, anchored: Sequence[Signed] = (), **options: object) -> Proof:
    """The proof of a store."""
    told = Anchors([signed.anchor for signed in anchored])
    return Verification(store, NOW, anchors=told, **options).run()  # type: ignore[arg-type]


def found(proof: Proof) -> set[str]:
    """What kinds of problem there are."""
    return {problem.what for problem in proof.problems}


def mutate(store: Store, sql: str) -> None:
    """Alter rows, as one with all rights can, and wait until it is done."""
    store.client.command(sql, settings={"mutations_sync": 2})


def link_at(store: Store, chain: str, sequence: int) -> Link:
    """A link as it stands in the store."""
    link = Chains(store.client, Proof()).link((chain, sequence))
    assert link is not None
    return link


def put_link(store: Store, link: Link) -> None:
    """Store a link as it is, forged or not."""
    told = msgspec.structs.asdict(link)
    store.client.insert("integrity_data", [list(told.values())], column_names=list(told), database=store.database)


def rewritten(store: Store, table: str, change: Callable[[dict[str, object]], dict[str, object]], where: str) -> None:
    """Take rows out of a table, and put others in their place."""
    taken = list(
        store.client.query(
            f"SELECT * FROM {table} FINAL WHERE {where}",  # noqa: S608
            query_formats={"String": "bytes", "DateTime64": "int"},
        ).named_results()
    )
    assert taken
    mutate(store, f"DELETE FROM {table} WHERE {where}")  # noqa: S608
    put = [change(dict(row)) for row in taken]
    columns = [[row[name] for row in put] for name in put[0]]
    store.client.insert(table, columns, column_names=list(put[0]), database=store.database, column_oriented=True)


def an_exposure(number: int) -> ExposureVersion:
    """The first version of a window."""
    return ExposureVersion(
        id=f"x-{number}",
        version=1,
        status="open",
        updated_at=T0,
        resource="s3://open",
        sensitivity="confidential",
        opened_at=T0,
        opened_by="bob",
        opened_by_kind="human",
        opened_by_role="engineer",
        opening_event="e1",
        opening_change="widen",
        privilege="read",
        grantee=None,
        audience="org",
        audience_count=None,
        readers=0,
        overdue=False,
        incident="a-1",
        limit_seconds=300,
    )


def an_action(number: int) -> OperatorAction:
    """Something that an operator did."""
    return OperatorAction(
        id=f"o-{number}",
        time=T0,
        operator="olga",
        action="hold",
        subject="incident:a-1",
        reason="asked for by legal",
        details={"until": None},
    )


def a_config() -> ConfigVersion:
    """A configuration that came into force."""
    return ConfigVersion(hash="ab" * 32, first_seen=T0, version="1", source="detector.yaml", body='{"a":1}')
