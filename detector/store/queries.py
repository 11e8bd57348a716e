"""Questions that the detector itself asks of the store."""

from typing import Final

from clickhouse_connect.driver.client import Client

# The *_data tables: a repeated row makes no difference to what is stored, and FINAL would cost.
_POSITIONS: Final = """
SELECT `offset`, `index`, id
FROM events_data
WHERE topic = {topic:String} AND partition = {partition:Int32} AND `offset` >= {from_offset:Int64}
"""
_REJECTED: Final = """
SELECT DISTINCT `offset`, `index`
FROM rejects_data
WHERE topic = {topic:String} AND partition = {partition:Int32} AND `offset` >= {from_offset:Int64}
"""


def stored_positions(client: Client, topic: str, partition: int, from_offset: int) -> dict[tuple[int, int], str]:
    """What the store holds of one Kafka partition, from an offset on: after a crash, what need not be sent.

    Args:
        client: a client whose database is the store's.
        topic: Kafka topic.
        partition: Kafka partition.
        from_offset: the first offset of interest; the checkpoint's, so that the answer stays small.

    Returns:
        (offset, index within the message) -> event id; "" for a reject, unless an event is there. A place counts
        as stored only if the id is the one that is about to be written: a topic that was made anew counts its
        offsets from 0 again.

    Raises:
        clickhouse_connect.driver.exceptions.ClickHouseError: the store can't answer.
    """
    given = {"topic": topic, "partition": partition, "from_offset": from_offset}
    found = {(int(offset), int(index)): "" for offset, index in client.query(_REJECTED, parameters=given).result_rows}
    for offset, index, event_id in client.query(_POSITIONS, parameters=given).result_rows:
        found[int(offset), int(index)] = str(event_id)
    return found
