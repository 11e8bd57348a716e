-- Every version of every window's life: sensitive data that a change opened to more people than before, until
-- another change closed it. Windows are few, and FINAL across partitions costs little.
CREATE TABLE IF NOT EXISTS exposures_data
(
    id String COMMENT 'Stays the same over the life of the window' CODEC(ZSTD(1)),
    version UInt32 COMMENT 'Counts from 1; the last version is the truth' CODEC(ZSTD(1)),
    status LowCardinality(String) COMMENT 'open, closed, or unwatched: let go by the ledger while the resource stood open',
    updated_at DateTime64(6, 'UTC') COMMENT 'Event time of what made this version' CODEC(ZSTD(1)),
    resource String COMMENT 'What stands open, a URI' CODEC(ZSTD(1)),
    sensitivity LowCardinality(String) COMMENT 'Of the resource: public, internal, confidential, restricted or unknown',
    opened_at DateTime64(6, 'UTC') COMMENT 'Event time of the change that opened it' CODEC(ZSTD(1)),
    opened_by String COMMENT 'Who made that change' CODEC(ZSTD(1)),
    opened_by_kind LowCardinality(String) COMMENT 'agent, human or service',
    opened_by_role LowCardinality(String) COMMENT 'The peer group of who made it',
    opening_event String COMMENT 'Id of the event of that change' CODEC(ZSTD(1)),
    opening_change LowCardinality(String) COMMENT 'What it was: grant, widen or inherit',
    privilege LowCardinality(String) COMMENT 'What the newly admitted may do',
    grantee String COMMENT 'Who was admitted, when the change names one' CODEC(ZSTD(1)),
    audience_after LowCardinality(String) COMMENT 'Who can reach it while it stands open: user, group, org, public or unknown',
    audience_after_count Nullable(UInt64) COMMENT 'How many people that are, when known' CODEC(ZSTD(1)),
    readers UInt64 COMMENT 'Who touched it for the first time meanwhile, as far as known at this version' CODEC(ZSTD(1)),
    overdue Bool COMMENT 'Had it been open for longer than its limit by this version?' CODEC(ZSTD(1)),
    incident String COMMENT 'Id of the incident, and of its alert if there is one' CODEC(ZSTD(1)),
    thread String COMMENT 'Conversation or ticket of the change that opened it' CODEC(ZSTD(1)),
    closed_at Nullable(DateTime64(6, 'UTC')) COMMENT 'Event time of its end; NULL while it is open' CODEC(ZSTD(1)),
    closed_by String COMMENT 'Who closed it; "" while it is open, or when nobody did' CODEC(ZSTD(1)),
    closed_by_kind LowCardinality(String) COMMENT 'agent, human or service; "" as closed_by',
    closing_event String COMMENT 'Id of the event of the change that closed it; "" as closed_by' CODEC(ZSTD(1)),
    closing_change LowCardinality(String) COMMENT 'What it was: narrow, revoke or expire; "" as closed_by',
    resolution String COMMENT 'Why it ended, in a few words; "" while it is open' CODEC(ZSTD(1)),
    limit_seconds Float64 COMMENT 'Seconds for which it may stand open before that is a finding',
    config LowCardinality(String) COMMENT 'Configuration it was made under: the first 16 digits of config_versions.hash; "" when not told',
    written_by LowCardinality(String) COMMENT 'Integrity chain of the writer',
    written_in UInt64 COMMENT 'Number of the link in that chain which covers the row' CODEC(ZSTD(1)),
    held Bool COMMENT 'Does a legal hold keep the row beyond its retention?' CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(opened_at)
ORDER BY (id, version)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Storage of the versions of exposure windows; may hold a repeated write until it is merged away. Read the view exposures.';

CREATE OR REPLACE VIEW exposure_versions AS
SELECT * FROM exposures_data FINAL
COMMENT 'Every version of every exposure window, once. The columns are described in exposures_data.';

-- The audience before is that of the last change to the resource before it was opened, where the store holds one: the
-- ledger sees the changes that widen, and no others. Events of exposed resources are few, and by_target finds them.
CREATE OR REPLACE VIEW exposures AS
WITH windows AS (SELECT * FROM exposures_data FINAL ORDER BY id, version DESC LIMIT 1 BY id)
SELECT
    x.*,
    if(before.id = '', 'unknown', before.audience) AS audience_before,
    before.people AS audience_before_count
FROM windows AS x
LEFT JOIN
(
    SELECT
        w.id AS id,
        argMax(e.permission_audience, e.time) AS audience,
        argMax(tuple(e.permission_audience_count), e.time).1 AS people
    FROM windows AS w
    INNER JOIN
    (
        SELECT target_uri, time, permission_audience, permission_audience_count
        FROM events_data FINAL
        WHERE target_uri IN (SELECT resource FROM exposures_data)
            AND permission_change IN ('grant', 'widen', 'inherit', 'narrow')
            AND outcome = 'success' AND verdict != 'duplicate'
        SETTINGS do_not_merge_across_partitions_select_final = 1, use_skip_indexes_if_final_exact_mode = 0
    ) AS e ON e.target_uri = w.resource
    WHERE e.time < w.opened_at
    GROUP BY w.id
) AS before ON before.id = x.id
COMMENT 'The last version of every exposure window, with who could reach the resource before. The columns are described in exposures_data.';

-- Who reached a resource while it stood open. Whoever reached it before, as far as the store goes back, was no news
-- to it: `newly_admitted` tells them apart.
CREATE OR REPLACE VIEW exposure_reads AS
WITH
    x.opened_at <= e.time AND (x.closed_at IS NULL OR e.time < x.closed_at) AS meanwhile
SELECT
    x.id AS exposure,
    x.resource AS resource,
    e.principal AS principal,
    any(e.actor_kind) AS principal_kind,
    min(e.time) >= any(x.opened_at) AS newly_admitted,
    countIf(meanwhile) AS reads,
    sumIf(e.records, meanwhile) AS records,
    sumIf(e.bytes_in, meanwhile) AS bytes_in,
    sumIf(e.bytes_out, meanwhile) AS bytes_out,
    minIf(e.time, meanwhile) AS first_read,
    maxIf(e.time, meanwhile) AS last_read
FROM (SELECT * FROM exposures_data FINAL ORDER BY id, version DESC LIMIT 1 BY id) AS x
INNER JOIN
(
    SELECT principal, actor_kind, target_uri, time, records, bytes_in, bytes_out
    FROM events_data FINAL
    WHERE target_uri IN (SELECT resource FROM exposures_data)
        AND kind IN ('access', 'transfer', 'call') AND outcome = 'success' AND verdict != 'duplicate'
    SETTINGS do_not_merge_across_partitions_select_final = 1, use_skip_indexes_if_final_exact_mode = 0
) AS e ON e.target_uri = x.resource
WHERE e.principal != x.opened_by
GROUP BY x.id, x.resource, e.principal
HAVING reads > 0
COMMENT 'Who reached a resource while it stood open, other than who opened it. newly_admitted: never before; records, bytes_in and bytes_out are sums over the window.';
