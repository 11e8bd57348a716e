"""The proof in an incident's report: against the anchors at hand, and only what is past its retention may be gone."""

from datetime import UTC, datetime

import msgspec
import pytest

from detector.audit import incident as incidents
from detector.audit.proof import Integrity, Trusted, integrity
from detector.integrity.anchor import Anchor, Signer
from detector.integrity.chain import Head
from detector.store.anchors import Anchors
from detector.store.client import Store
from tests.support.audited import audited, incident_of
from tests.support.linked import KEY

__all__ = ["audited"]
pytestmark = pytest.mark.chdb

NOW = datetime(2026, 9, 1, tzinfo=UTC)


def proof(store: Store, *anchors: Anchor) -> Integrity:
    found = incidents.gather(store, incident_of(store, "inbox_deletion"))
    return integrity(store, found, Trusted(Anchors(list(anchors))) if anchors else None, lambda: NOW)


def anchored(store: Store, back: int) -> Anchor:
    """The anchor of the link that is so many before the last one."""
    rows = store.client.query("SELECT chain, sequence, link FROM integrity ORDER BY sequence DESC LIMIT 2").result_rows
    return Signer(KEY).sign(Head(*rows[back]), int(NOW.timestamp() * 1e6)).anchor


def test_a_report_tells_what_its_rows_were_compared_with(audited: Store) -> None:
    alone = proof(audited)
    assert alone.sound
    assert "This compares the store with itself" in alone.words
    whole = proof(audited, anchored(audited, 0))
    assert whole.sound
    assert "The links are what 1 anchor kept outside of the store say" in whole.words
    assert "No anchor vouches" not in whole.words


def test_a_report_of_a_store_that_was_written_anew_says_so(audited: Store) -> None:
    other = msgspec.structs.replace(anchored(audited, 0), link="ab" * 32)
    forged = proof(audited, other)
    assert forged.sound is False
    assert "is not what was anchored" in forged.words


def test_no_anchor_at_all_proves_nothing(audited: Store) -> None:
    found = incidents.gather(audited, incident_of(audited, "inbox_deletion"))
    told = integrity(audited, found, Trusted(Anchors()), lambda: NOW)
    assert "There is no anchor yet" in told.words
