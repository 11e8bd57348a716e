-- What detectors saw, and why. The id is made of the event and the rule, the time is the event's: a replay gives
-- the same key in the same month.
CREATE TABLE IF NOT EXISTS findings_data
(
    time DateTime64(6, 'UTC') COMMENT 'Event time of the event that made the finding' CODEC(Delta, ZSTD(1)),
    id String COMMENT 'Unique id; the same on every replay' CODEC(ZSTD(1)),
    event_id String COMMENT 'The event that made the finding' CODEC(ZSTD(1)),
    principal String COMMENT 'Whose behaviour it is about' CODEC(ZSTD(1)),
    principal_kind LowCardinality(String) COMMENT 'agent, human or service',
    role LowCardinality(String) COMMENT 'The peer group of the principal',
    session String COMMENT 'The run or conversation; "" when unknown' CODEC(ZSTD(1)),
    detector LowCardinality(String) COMMENT 'The detector that fired',
    rule LowCardinality(String) COMMENT 'The rule of the detector that fired',
    score Float64 COMMENT '-log10(p_value) for statistical rules, 0 to 1 for deterministic ones',
    p_value Nullable(Float64) COMMENT 'Probability of something as strange under the baseline; NULL for deterministic rules',
    severity LowCardinality(String) COMMENT 'SEV0 (worst) to SEV4',
    reason String COMMENT 'Why, in one sentence with numbers' CODEC(ZSTD(3)),
    entities Array(String) COMMENT 'What findings are joined by: agent:..., thread:..., resource:...' CODEC(ZSTD(1)),
    tags Array(String) COMMENT 'OWASP, MITRE ATLAS and ATT&CK tags, with the version of their list' CODEC(ZSTD(1)),
    evidence String COMMENT 'Numbers and names of the reason, a JSON object' CODEC(ZSTD(3)),
    INDEX by_id id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_event event_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_entity entities TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(time)
ORDER BY (time, id)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Storage of findings; may hold a repeated write until it is merged away. Read the view findings.';

CREATE VIEW IF NOT EXISTS findings AS
SELECT * FROM findings_data FINAL
SETTINGS do_not_merge_across_partitions_select_final = 1
COMMENT 'Every finding, once. The columns are described in findings_data.';
