-- Messages that could not be understood, or that the store would not take. A file's reader gives them the time of
-- reading, which is another on the next reading: it can't be part of the key, and FINAL looks across partitions.
CREATE TABLE IF NOT EXISTS rejects_data
(
    topic LowCardinality(String) COMMENT 'Kafka topic, or the name of the file it was read from',
    partition Int32 COMMENT 'Kafka partition; 0 for a file' CODEC(ZSTD(1)),
    offset Int64 COMMENT 'Kafka offset; the line number for a file' CODEC(Delta, ZSTD(1)),
    reason LowCardinality(String) COMMENT 'Why, in a word',
    detail String COMMENT 'Why, in a sentence' CODEC(ZSTD(3)),
    received_at DateTime64(6, 'UTC') COMMENT 'When the broker, or the reader of the file, got it' CODEC(Delta, ZSTD(1)),
    raw String COMMENT 'The original message, byte for byte; not always UTF-8' CODEC(ZSTD(3))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(received_at)
ORDER BY (topic, partition, offset, reason, detail)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Storage of rejects; may hold a repeated write until it is merged away. Read the view rejects.';

CREATE VIEW IF NOT EXISTS rejects AS
SELECT * FROM rejects_data FINAL
COMMENT 'Every rejected message, once. The columns are described in rejects_data.';
