"""Parameters that are too long for an address: the client sends them as a form, as it does for a large batch."""

import pytest

from detector.store.client import Store

pytestmark = pytest.mark.chdb


@pytest.mark.parametrize("count", [1, 500])
def test_as_many_names_as_a_batch_has_can_be_asked_for(server_store: Store, count: int) -> None:
    names = [
        f"{number:03}-it's a 'name' with \\ and \u00fc, of some length, as ids of sources are"
        for number in range(count)
    ]
    found = server_store.client.query(
        "SELECT arrayJoin({names:Array(String)}) AS name ORDER BY name", parameters={"names": names}
    )
    assert [row[0] for row in found.result_rows] == names
