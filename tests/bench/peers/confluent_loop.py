"""A plain loop on confluent-kafka: `confluent_loop BOOTSTRAP TOPIC ALERTS COUNT PARTITIONS`."""

import sys
from collections import defaultdict

from confluent_kafka import Consumer, Producer

from tests.bench.peers.work import Meter, Principal, Trees, alert, decode


def main(bootstrap: str, topic: str, alerts: str, count: str, _partitions: str) -> None:
    """Read in batches, score, send what is unusual.

    Raises:
        RuntimeError: A message could not be read.
    """
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": f"{alerts}-group", "auto.offset.reset": "earliest"}
    )
    consumer.subscribe([topic])
    producer = Producer({"bootstrap.servers": bootstrap})
    principals: dict[str, Principal] = defaultdict(Principal)
    trees, meter = Trees(), Meter(int(count))
    last = False
    while not last:
        for message in consumer.consume(1000, timeout=0.1):
            if message.error():
                raise RuntimeError(str(message.error()))
            event = decode(message.value() or b"")
            told = alert(event, *principals[event.actor.id].take(event), trees.take(event))
            if told is not None:
                producer.produce(alerts, key=message.key(), value=told)
                meter.alerts += 1
            last = meter.tick() or last
        producer.poll(0)
    producer.flush()
    meter.tell()
    consumer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
