"""Bytewax, a stateful map and no recovery: `bytewax_flow BOOTSTRAP TOPIC ALERTS COUNT PARTITIONS`."""

import sys
from typing import Any

import bytewax.operators as op  # type: ignore[import-not-found]
from bytewax.connectors.kafka import KafkaSinkMessage  # type: ignore[import-not-found]
from bytewax.connectors.kafka import operators as kop
from bytewax.dataflow import Dataflow  # type: ignore[import-not-found]
from bytewax.run import cli_main  # type: ignore[import-not-found]

from tests.bench.peers.work import Event, Meter, Principal, Trees, alert, decode


def main(bootstrap: str, topic: str, alerts: str, count: str, _partitions: str) -> None:
    """Build the flow, and run it to the end of the topic."""
    trees, meter = Trees(), Meter(int(count))

    def keyed(message: Any) -> tuple[str, Event]:
        event = decode(message.value)
        return event.actor.id, event

    def score(principal: Principal | None, event: Event) -> tuple[Principal, bytes | None]:
        principal = principal or Principal()
        told = alert(event, *principal.take(event), trees.take(event))
        meter.alerts += told is not None
        if meter.tick():
            meter.tell()
        return principal, told

    flow = Dataflow("peer")
    source = kop.input("events", flow, brokers=[bootstrap], topics=[topic], tail=False, batch_size=1000)
    scored = op.stateful_map("score", op.map("decode", source.oks, keyed), score)
    told = op.filter("unusual", scored, lambda pair: pair[1] is not None)
    messages = op.map("message", told, lambda pair: KafkaSinkMessage(pair[0].encode(), pair[1]))
    kop.output("alerts", messages, brokers=[bootstrap], topic=alerts)
    cli_main(flow)


if __name__ == "__main__":
    main(*sys.argv[1:])
