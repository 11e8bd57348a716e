-- Every version of every alert's life. The month is not part of the key, so that a version written twice is one
-- row whatever its times say; alerts are few, and FINAL across partitions costs little.
CREATE TABLE IF NOT EXISTS alerts_data
(
    id String COMMENT 'Stays the same over the life of the alert' CODEC(ZSTD(1)),
    version UInt32 COMMENT 'Counts from 1; the last version is the truth' CODEC(ZSTD(1)),
    opened_at DateTime64(6, 'UTC') COMMENT 'Event time of the first finding' CODEC(ZSTD(1)),
    detected_at DateTime64(6, 'UTC') COMMENT 'Event time of the finding that raised the alert' CODEC(ZSTD(1)),
    updated_at DateTime64(6, 'UTC') COMMENT 'Event time of what made this version' CODEC(ZSTD(1)),
    status LowCardinality(String) COMMENT 'open, updated or resolved',
    severity LowCardinality(String) COMMENT 'SEV0 (worst) to SEV4',
    risk Float64 COMMENT 'Combined risk of the findings, 0 to 1',
    title String COMMENT 'One line for the list of alerts' CODEC(ZSTD(3)),
    reason String COMMENT 'Why, in one sentence with numbers' CODEC(ZSTD(3)),
    principals Array(String) COMMENT 'Who is involved' CODEC(ZSTD(1)),
    roles Array(String) COMMENT 'Their peer groups' CODEC(ZSTD(1)),
    detectors Array(String) COMMENT 'The detectors that fired' CODEC(ZSTD(1)),
    finding_ids Array(String) COMMENT 'Findings, the first and the latest; finding_count is exact' CODEC(ZSTD(1)),
    event_ids Array(String) COMMENT 'Events of the findings, the first and the latest' CODEC(ZSTD(1)),
    finding_count UInt64 COMMENT 'How many findings there are' CODEC(ZSTD(1)),
    story String COMMENT 'Steps in order, a JSON list of objects: time, principal, event_id, what' CODEC(ZSTD(3)),
    tags Array(String) COMMENT 'OWASP, MITRE ATLAS and ATT&CK tags, with the version of their list' CODEC(ZSTD(1)),
    runbook String COMMENT 'What to do first' CODEC(ZSTD(3)),
    resolution String COMMENT 'Why it ended; "" while it is open' CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(opened_at)
ORDER BY (id, version)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Storage of alert versions; may hold a repeated write until it is merged away. Read the view alerts.';

CREATE VIEW IF NOT EXISTS alerts AS
SELECT * FROM alerts_data FINAL
COMMENT 'Every version of every alert, once. The columns are described in alerts_data.';

CREATE VIEW IF NOT EXISTS alerts_current AS
SELECT * FROM alerts_data FINAL
ORDER BY id, version DESC
LIMIT 1 BY id
COMMENT 'The last version of every alert. The columns are described in alerts_data.';
