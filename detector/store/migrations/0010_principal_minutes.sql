-- What each principal did, by the minute, added up while it is written: for dashboards, tuning and training, which
-- need not read every event for it. Repeats that scoring knew (verdict duplicate) are left out.
--
-- An insert that comes again is dropped here as it is there, by its token, since this table has a window of its own
-- and `detector` sets deduplicate_blocks_in_dependent_materialized_views. Rows that are written again under another
-- token (a worker that lost its partition and does not know it yet) are added up again: where a number must be
-- exact, ask the view events.
CREATE TABLE IF NOT EXISTS principal_minutes_data
(
    principal String COMMENT 'Whose behaviour it is about' CODEC(ZSTD(1)),
    minute DateTime('UTC') COMMENT 'When the minute begins, event time' CODEC(Delta, ZSTD(1)),
    role SimpleAggregateFunction(max, String) COMMENT 'The peer group of the actor' CODEC(ZSTD(1)),
    events SimpleAggregateFunction(sum, UInt64) COMMENT 'How many events' CODEC(T64, ZSTD(1)),
    denied SimpleAggregateFunction(sum, UInt64) COMMENT 'Events with the outcome denied' CODEC(T64, ZSTD(1)),
    failed SimpleAggregateFunction(sum, UInt64) COMMENT 'Events with the outcome failure' CODEC(T64, ZSTD(1)),
    sensitive SimpleAggregateFunction(sum, UInt64) COMMENT 'Events on confidential or restricted targets' CODEC(T64, ZSTD(1)),
    deletions SimpleAggregateFunction(sum, UInt64) COMMENT 'Events of the kind delete' CODEC(T64, ZSTD(1)),
    permissions SimpleAggregateFunction(sum, UInt64) COMMENT 'Events of the kind permission' CODEC(T64, ZSTD(1)),
    records SimpleAggregateFunction(sum, UInt64) COMMENT 'Records read, written or removed' CODEC(T64, ZSTD(1)),
    bytes_in SimpleAggregateFunction(sum, UInt64) COMMENT 'Bytes that came in' CODEC(T64, ZSTD(1)),
    bytes_internal SimpleAggregateFunction(sum, UInt64) COMMENT 'Bytes that left for the zone internal' CODEC(T64, ZSTD(1)),
    bytes_approved SimpleAggregateFunction(sum, UInt64) COMMENT 'Bytes that left for the zone approved' CODEC(T64, ZSTD(1)),
    bytes_external SimpleAggregateFunction(sum, UInt64) COMMENT 'Bytes that left for the zone external' CODEC(T64, ZSTD(1)),
    bytes_public SimpleAggregateFunction(sum, UInt64) COMMENT 'Bytes that left for the zone public' CODEC(T64, ZSTD(1)),
    bytes_unknown SimpleAggregateFunction(sum, UInt64) COMMENT 'Bytes that left for the zone unknown' CODEC(T64, ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(minute)
ORDER BY (principal, minute)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Storage of sums by principal and minute; may hold a minute in several rows until they are merged. Read the view principal_minutes.';

-- Begun anew with each run of this migration, so that one that was cut short adds nothing twice.
DROP VIEW IF EXISTS principal_minutes_feed;
TRUNCATE TABLE IF EXISTS principal_minutes_data;

INSERT INTO principal_minutes_data
SELECT
    principal,
    toStartOfMinute(time) AS minute,
    max(actor_role) AS role,
    count() AS events,
    countIf(outcome = 'denied') AS denied,
    countIf(outcome = 'failure') AS failed,
    countIf(target_sensitivity IN ('confidential', 'restricted')) AS sensitive,
    countIf(kind = 'delete') AS deletions,
    countIf(kind = 'permission') AS permissions,
    sum(e.records) AS records,
    sum(e.bytes_in) AS bytes_in,
    sumIf(bytes_out, destination_zone = 'internal') AS bytes_internal,
    sumIf(bytes_out, destination_zone = 'approved') AS bytes_approved,
    sumIf(bytes_out, destination_zone = 'external') AS bytes_external,
    sumIf(bytes_out, destination_zone = 'public') AS bytes_public,
    sumIf(bytes_out, destination_zone NOT IN ('internal', 'approved', 'external', 'public')) AS bytes_unknown
FROM events_data AS e FINAL
WHERE verdict != 'duplicate'
GROUP BY principal, minute
SETTINGS do_not_merge_across_partitions_select_final = 1, max_partitions_per_insert_block = 0;

CREATE MATERIALIZED VIEW IF NOT EXISTS principal_minutes_feed TO principal_minutes_data AS
SELECT
    principal,
    toStartOfMinute(time) AS minute,
    max(actor_role) AS role,
    count() AS events,
    countIf(outcome = 'denied') AS denied,
    countIf(outcome = 'failure') AS failed,
    countIf(target_sensitivity IN ('confidential', 'restricted')) AS sensitive,
    countIf(kind = 'delete') AS deletions,
    countIf(kind = 'permission') AS permissions,
    sum(e.records) AS records,
    sum(e.bytes_in) AS bytes_in,
    sumIf(bytes_out, destination_zone = 'internal') AS bytes_internal,
    sumIf(bytes_out, destination_zone = 'approved') AS bytes_approved,
    sumIf(bytes_out, destination_zone = 'external') AS bytes_external,
    sumIf(bytes_out, destination_zone = 'public') AS bytes_public,
    sumIf(bytes_out, destination_zone NOT IN ('internal', 'approved', 'external', 'public')) AS bytes_unknown
FROM events_data AS e
WHERE verdict != 'duplicate'
GROUP BY principal, minute
COMMENT 'Adds each insert into events_data to principal_minutes_data.';

CREATE OR REPLACE VIEW principal_minutes AS
SELECT * FROM principal_minutes_data FINAL
SETTINGS do_not_merge_across_partitions_select_final = 1
COMMENT 'What each principal did, one row a minute. The columns are described in principal_minutes_data.';
