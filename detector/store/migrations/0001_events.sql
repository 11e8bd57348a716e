-- Every event that was read, whatever scoring made of it, with its original bytes.
--
-- Key: who, when, then the place of reading. A message that is read again gives the same key, so the engine
-- keeps one row of it. `time` is part of the key, so rows with one key share a month and FINAL need not look
-- across partitions.
--
-- Names are those of the event's fields, joined by an underscore. "" stands for a field that is not given.
CREATE TABLE IF NOT EXISTS events_data
(
    principal String COMMENT 'Whose behaviour the event is about: the actor, or the agent a control event concerns' CODEC(ZSTD(1)),
    time DateTime64(6, 'UTC') COMMENT 'When it happened, as the source tells' CODEC(Delta, ZSTD(1)),
    topic LowCardinality(String) COMMENT 'Kafka topic, or the name of the file it was read from',
    partition Int32 COMMENT 'Kafka partition; 0 for a file' CODEC(ZSTD(1)),
    offset Int64 COMMENT 'Kafka offset; the line number for a file' CODEC(Delta, ZSTD(1)),
    `index` UInt32 COMMENT 'Place within a message that held several events' CODEC(ZSTD(1)),
    received_at DateTime64(6, 'UTC') COMMENT 'When the broker, or the reader of the file, got it' CODEC(Delta, ZSTD(1)),
    format LowCardinality(String) COMMENT 'Wire format it was decoded from',
    verdict LowCardinality(String) COMMENT 'What scoring made of it: scored, late, future or duplicate',
    id String COMMENT 'Unique id, given by the source' CODEC(ZSTD(1)),
    kind LowCardinality(String) COMMENT 'access, transfer, call, permission, publish, delete, control or auth',
    action LowCardinality(String) COMMENT 'The tool or API operation, as the source names it',
    outcome LowCardinality(String) COMMENT 'success, failure or denied',
    actor_id String COMMENT 'Who acted' CODEC(ZSTD(1)),
    actor_kind LowCardinality(String) COMMENT 'agent, human or service',
    actor_role LowCardinality(String) COMMENT 'The peer group the actor is judged by',
    actor_on_behalf_of String COMMENT 'The person or service the actor worked for' CODEC(ZSTD(1)),
    session String COMMENT 'The run or conversation it acted in' CODEC(ZSTD(1)),
    target_uri String COMMENT 'What was acted on; "" when the event has no target' CODEC(ZSTD(1)),
    target_type LowCardinality(String) COMMENT 'Type of the target, as the source names it',
    target_sensitivity LowCardinality(String) COMMENT 'public, internal, confidential, restricted or unknown',
    target_container_size Nullable(UInt64) COMMENT 'Records in the container before the act, when the source tells' CODEC(ZSTD(1)),
    destination_host String COMMENT 'Host that data went to' CODEC(ZSTD(1)),
    destination_account String COMMENT 'Account that data went to' CODEC(ZSTD(1)),
    destination_recipient String COMMENT 'Recipient that data went to' CODEC(ZSTD(1)),
    destination_zone LowCardinality(String) COMMENT 'internal, approved, external, public or unknown',
    bytes_out UInt64 COMMENT 'Bytes that left' CODEC(ZSTD(1)),
    bytes_in UInt64 COMMENT 'Bytes that came in' CODEC(ZSTD(1)),
    records UInt64 COMMENT 'Records read, written or removed' CODEC(ZSTD(1)),
    permission_change LowCardinality(String) COMMENT 'grant, widen, inherit, narrow, revoke or expire; "" when the event changes no permission',
    permission_grantee String COMMENT 'Who gains or loses it' CODEC(ZSTD(1)),
    permission_audience LowCardinality(String) COMMENT 'user, group, org, public or unknown',
    permission_audience_count Nullable(UInt64) COMMENT 'People in the audience, when known' CODEC(ZSTD(1)),
    permission_privilege LowCardinality(String) COMMENT 'What the grantee may do',
    permission_requested String COMMENT 'The privilege that was asked for, when told apart from what was granted' CODEC(ZSTD(1)),
    permission_temporary Bool COMMENT 'Was it meant to end by itself?' CODEC(ZSTD(1)),
    permission_expires_at Nullable(DateTime64(6, 'UTC')) COMMENT 'When it ends; NULL when no end is set' CODEC(ZSTD(1)),
    permission_inherited_from String COMMENT 'Where an inherited permission comes from' CODEC(ZSTD(1)),
    approval_required Bool COMMENT 'Did the act need a yes from a person?' CODEC(ZSTD(1)),
    approval_id String COMMENT 'The approval that is claimed' CODEC(ZSTD(1)),
    approval_by String COMMENT 'Who gave it' CODEC(ZSTD(1)),
    thread String COMMENT 'Conversation or ticket the event belongs to' CODEC(ZSTD(1)),
    trace_id String COMMENT 'Trace the event belongs to' CODEC(ZSTD(1)),
    parent_id String COMMENT 'Event or span that caused this one' CODEC(ZSTD(1)),
    in_reply_to String COMMENT 'Message that this one answers' CODEC(ZSTD(1)),
    attributes String COMMENT 'The rest of what the source told, a JSON object' CODEC(ZSTD(3)),
    raw String COMMENT 'The original message, byte for byte; not always UTF-8' CODEC(ZSTD(3)),
    -- An auditor starts from one value of these, and the key leads with none of them.
    INDEX by_id id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_session session TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_target target_uri TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_host destination_host TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_account destination_account TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_recipient destination_recipient TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_thread thread TYPE bloom_filter(0.01) GRANULARITY 1,
    -- A restart asks for the newest offsets of a partition: parts of past months hold none of them, and are
    -- skipped whole. Within this month's large parts every granule holds some principal's newest events.
    INDEX by_position (partition, offset) TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(time)
ORDER BY (principal, time, topic, partition, offset, index)
-- A window of 0, the default, would ignore deduplication tokens without a word.
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Storage of events; may hold a repeated write until it is merged away. Read the view events.';

CREATE VIEW IF NOT EXISTS events AS
SELECT * FROM events_data FINAL
SETTINGS do_not_merge_across_partitions_select_final = 1
COMMENT 'Every event read, once. The columns are described in events_data.';
