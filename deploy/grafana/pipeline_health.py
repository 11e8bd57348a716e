"""Pipeline health: is it at work, does it keep up, does what it makes get out, would a restart lose nothing?"""

from typing import Final

from deploy.grafana.layout import Page, Section, Shelf
from deploy.grafana.panels import ORANGE, RED, lines, number
from deploy.grafana.queries import ask, p95

JOB: Final = 'job="rogue-agent-detector"'

SCRAPED: Final = number(
    "Scraped",
    ask(f"sum(up{{{JOB}}}) / count(up{{{JOB}}})", instant=True),
    "percentunit",
    "Share of the known processes that answer Prometheus.",
    steps=((None, RED), (1, "green")),
    none="no process is known",
)

READY: Final = number(
    "Ready",
    ask("sum(detector_ready) / count(detector_ready)", instant=True),
    "percentunit",
    "Share of the processes that say they are at work.",
    steps=((None, RED), (0.5, ORANGE), (1, "green")),
    none="none",
)

LAG: Final = number(
    "Lag",
    ask("sum(detector_consumer_lag)", instant=True),
    "short",
    "Messages that wait to be read, over all topics.",
    steps=((None, "green"), (10_000, ORANGE), (100_000, RED)),
)

BEHIND: Final = number(
    "Behind the clock",
    ask("time() - min(detector_watermark_timestamp_seconds > 0)", instant=True),
    "s",
    "From now back to the event time up to which all was seen. A quiet topic lets it grow.",
    steps=((None, "green"), (60, ORANGE), (600, RED)),
    none="nothing seen yet",
)

REJECTED: Final = number(
    "Rejects",
    ask("job:detector_rejects:ratio5m", instant=True),
    "percentunit",
    "Share of what was read in the last 5 min that could not be understood.",
    steps=((None, "green"), (0.001, ORANGE), (0.01, RED)),
    none="nothing read",
)

UNSAVED: Final = number(
    "Oldest checkpoint",
    ask("max(detector_checkpoint_age_seconds)", instant=True),
    "s",
    "What a crash now would have to read again.",
    steps=((None, "green"), (120, ORANGE), (600, RED)),
    none="none",
)

READ: Final = lines(
    "Read",
    [ask("sum by (topic) (rate(detector_messages_total[$__rate_interval]))", "{{topic}}")],
    "cps",
    "Messages a second by topic. A topic that falls silent is worth a look.",
)

WAITING: Final = lines(
    "Waiting to be read",
    [ask("sum by (topic) (detector_consumer_lag)", "{{topic}}")],
    "short",
    "Messages behind the end of each topic.",
)

WORK: Final = lines(
    "Work on a batch, 95th percentile",
    [p95("detector_batch_seconds", "stage")],
    "s",
    "By what is done: decoding, scoring, correlating, handing over to the sinks, saving.",
)

VERDICTS: Final = lines(
    "Events by verdict",
    [ask("sum by (verdict) (rate(detector_events_verdict_total[$__rate_interval]))", "{{verdict}}")],
    "cps",
    "What scoring made of events: late and future ones are stored and not judged, duplicates are dropped.",
    bars=True,
    colours={"scored": "green", "late": ORANGE, "future": ORANGE, "error": RED, "duplicate": "blue"},
)

REJECTS: Final = lines(
    "Rejects by reason",
    [ask("sum by (reason) (rate(detector_rejects_total[$__rate_interval])) * 60", "{{reason}}")],
    "cpm",
    "Messages that could not be understood; their bytes are on the rejects topic and in the store.",
    bars=True,
)

FORMATS: Final = lines(
    "Events by format",
    [ask("sum by (format) (rate(detector_events_total[$__rate_interval])) > 0", "{{format}}")],
    "cps",
    "Events decoded a second, of the formats that come.",
)

UP: Final = lines(
    "Sinks that answer",
    [ask("min by (sink) (detector_sink_up)", "{{sink}}")],
    "bool_on_off",
    "Whether the last try to write succeeded, of the worst process.",
)

QUEUED: Final = lines(
    "Waiting to be durable",
    [ask("max by (sink) (detector_sink_queue_items)", "{{sink}}"), ask("vector(10000)", "full")],
    "short",
    "Items in the fullest process's queues. When one is full, reading stops until there is room.",
    dashed=("full",),
)

WRITES: Final = lines(
    "A write, 95th percentile",
    [p95("detector_sink_write_seconds", "sink")],
    "s",
    "Seconds that a write takes which succeeds.",
)

FAILURES: Final = lines(
    "Tries that failed",
    [ask("sum by (sink, reason) (rate(detector_sink_failures_total[$__rate_interval])) * 60", "{{sink}}: {{reason}}")],
    "cpm",
    "What failed is kept and tried again.",
    bars=True,
)

AGE: Final = lines(
    "Since the last checkpoint",
    [ask("detector_checkpoint_age_seconds", "{{instance}}")],
    "s",
    "What a crash would have to read again. It should go up and down between 0 and `state.every`.",
)

SAVING: Final = lines(
    "Saving and restoring",
    [
        p95("detector_checkpoint_seconds", legend="95 % of checkpoints"),
        ask("max(detector_restore_seconds)", "latest restore"),
    ],
    "s",
    "How long a checkpoint takes, and how long taking over partitions with their state took.",
)

WRITTEN: Final = lines(
    "Written by checkpoints",
    [ask("sum(rate(detector_checkpoint_bytes_total[$__rate_interval]))", "all processes")],
    "Bps",
    "Between two whole states only what changed is written.",
)

PRINCIPALS: Final = lines(
    "Principals in memory",
    [ask("detector_principals", "{{instance}}")],
    "short",
    "Bounded by `scoring.max_principals`, for each partition.",
)

MEMORY: Final = lines(
    "Memory",
    [ask(f"process_resident_memory_bytes{{{JOB}}}", "{{instance}}")],
    "bytes",
    "Resident memory of each process.",
)

CPU: Final = lines(
    "CPU",
    [ask(f"rate(process_cpu_seconds_total{{{JOB}}}[$__rate_interval])", "{{instance}}")],
    "percentunit",
    "Of one core. A scoring worker at 100 % needs another one beside it.",
)

CONFIGURATION: Final = lines(
    "Configuration in force",
    [ask("detector_config_reload_success", "{{instance}}")],
    "bool_on_off",
    "Off: the newest configuration was not taken, and the one before is still in force.",
)

VERSION: Final = "detector_peers_version_timestamp_seconds"

PEERS: Final = lines(
    "Peers' knowledge behind the newest",
    [ask(f"scalar(max({VERSION})) - ({VERSION} > 0)", "{{instance}}")],
    "s",
    "In event time, of each worker: more than an hour for long is a worker that judges by what was usual before.",
)

TURNS: Final = lines(
    "Findings that wait for their turn",
    [ask("sum(detector_order_waiting)", "all")],
    "short",
    "Until no other worker can have found something before them. With one worker none waits.",
)

ORDER: Final = lines(
    "Wait for the order, 95th percentile",
    [p95("detector_order_wait_seconds", span="5m", legend="95 %")],
    "s",
    "From a finding's arrival until its turn, over 5 min.",
)

PAGE: Final = Page(
    uid="rogue-agents-pipeline",
    title="Rogue agents: pipeline health",
    about="Is the detector at work, does it keep up, does what it makes get out, would a restart lose nothing?",
    span="now-3h",
    sections=(
        Section("Now", Shelf(4, (4, SCRAPED), (4, READY), (4, LAG), (4, BEHIND), (4, REJECTED), (4, UNSAVED))),
        Section(
            "The stream",
            Shelf(8, (8, READ), (8, WAITING), (8, WORK)),
            Shelf(8, (8, VERDICTS), (8, REJECTS), (8, FORMATS)),
        ),
        Section("Sinks", Shelf(8, (6, UP), (6, QUEUED), (6, WRITES), (6, FAILURES))),
        Section("Several workers", Shelf(8, (8, PEERS), (8, TURNS), (8, ORDER))),
        Section(
            "State and processes",
            Shelf(8, (8, AGE), (8, SAVING), (8, WRITTEN)),
            Shelf(8, (6, PRINCIPALS), (6, MEMORY), (6, CPU), (6, CONFIGURATION)),
        ),
    ),
)
