"""A plain loop on kafka-python: `kafka_python_loop BOOTSTRAP TOPIC ALERTS COUNT PARTITIONS`."""

import sys
from collections import defaultdict

from kafka import KafkaConsumer, KafkaProducer

from tests.bench.peers.work import Meter, Principal, Trees, alert, decode


def main(bootstrap: str, topic: str, alerts: str, count: str, _partitions: str) -> None:
    """Read, score, send what is unusual."""
    consumer = KafkaConsumer(
        topic, bootstrap_servers=bootstrap, group_id=f"{alerts}-group", auto_offset_reset="earliest"
    )
    producer = KafkaProducer(bootstrap_servers=bootstrap)
    principals: dict[str, Principal] = defaultdict(Principal)
    trees, meter = Trees(), Meter(int(count))
    for message in consumer:
        event = decode(message.value)
        told = alert(event, *principals[event.actor.id].take(event), trees.take(event))
        if told is not None:
            producer.send(alerts, key=message.key, value=told)
            meter.alerts += 1
        if meter.tick():
            break
    producer.flush()
    meter.tell()
    consumer.close()
    producer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
