-- What proves the rest: configurations in force, what operators did, the links of the integrity chains and what was
-- anchored of them. They are few and never expire.
--
-- Each start of the program under a configuration that the store doesn't hold yet is a row: two processes that start
-- at once write one each, and neither replaces what the other's link covers.
CREATE TABLE IF NOT EXISTS config_versions_data
(
    hash String COMMENT 'SHA-256 of body, 64 hexadecimal digits' CODEC(ZSTD(1)),
    first_seen DateTime64(6, 'UTC') COMMENT 'When the writer first ran under it, by its clock' CODEC(ZSTD(1)),
    version LowCardinality(String) COMMENT 'Version of the program',
    source LowCardinality(String) COMMENT 'How it came into force: start',
    body String COMMENT 'The effective configuration: a JSON object with sorted keys; secrets only by where they are kept' CODEC(ZSTD(3)),
    written_by LowCardinality(String) COMMENT 'Integrity chain of the writer',
    written_in UInt64 COMMENT 'Number of the link in that chain which covers the row' CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree
ORDER BY (hash, first_seen)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Storage of configurations; may hold one several times. Read the view config_versions.';

CREATE OR REPLACE VIEW config_versions AS
SELECT
    substring(hash, 1, 16) AS config,
    hash,
    min(first_seen) AS first_seen,
    argMin(version, c.first_seen) AS version,
    argMin(source, c.first_seen) AS source,
    any(body) AS body
FROM config_versions_data AS c FINAL
GROUP BY hash
COMMENT 'Every configuration that was in force, once. `config` is what findings and alerts carry; the others are described in config_versions_data.';

CREATE TABLE IF NOT EXISTS operator_actions_data
(
    time DateTime64(6, 'UTC') COMMENT 'When it was done, by the clock of the program that did it' CODEC(ZSTD(1)),
    id String COMMENT 'Unique id' CODEC(ZSTD(1)),
    operator String COMMENT 'Who did it, as they were told to the program' CODEC(ZSTD(1)),
    action LowCardinality(String) COMMENT 'reload, hold, release, feedback, rebaseline …',
    subject String COMMENT 'What it was done to: incident:..., principal:..., hold:..., config:...' CODEC(ZSTD(1)),
    reason String COMMENT 'Why, in the words of the operator' CODEC(ZSTD(3)),
    details String COMMENT 'The rest, a JSON object' CODEC(ZSTD(3)),
    config LowCardinality(String) COMMENT 'Configuration in force: the first 16 digits of config_versions.hash; "" when not told',
    written_by LowCardinality(String) COMMENT 'Integrity chain of the writer',
    written_in UInt64 COMMENT 'Number of the link in that chain which covers the row' CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree
ORDER BY (time, id)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Storage of operator actions; may hold a repeated write until it is merged away. Read the view operator_actions.';

CREATE OR REPLACE VIEW operator_actions AS
SELECT * FROM operator_actions_data FINAL
COMMENT 'What operators did, once each. The columns are described in operator_actions_data.';

-- Legal holds are operator actions, so that the chain covers them: what is held is told by `hold` and `release` alone.
CREATE OR REPLACE VIEW holds AS
SELECT
    h.id AS id,
    h.time AS held_at,
    h.operator AS held_by,
    h.reason AS reason,
    h.subject AS subject,
    h.details AS details,
    if(r.subject = '', NULL, r.time) AS released_at,
    r.operator AS released_by,
    r.reason AS release_reason
FROM (SELECT * FROM operator_actions_data FINAL WHERE action = 'hold') AS h
LEFT JOIN
(
    SELECT * FROM operator_actions_data FINAL WHERE action = 'release' ORDER BY time LIMIT 1 BY subject
) AS r ON r.subject = concat('hold:', h.id)
COMMENT 'Every legal hold, and when it was released (NULL: it is in force). `subject` and `details` say what is held.';

-- The link is part of the key: a second one with the same number is a breach to be seen, not to be merged away.
CREATE TABLE IF NOT EXISTS integrity_data
(
    chain LowCardinality(String) COMMENT 'Name of the chain: one a writer',
    sequence UInt64 COMMENT 'Number of the link in its chain, from 1' CODEC(Delta, ZSTD(1)),
    kind LowCardinality(String) COMMENT 'begin: the first of a chain; rows: covers an insert; void: the rows of the link before may be missing',
    `table` LowCardinality(String) COMMENT 'Table that the rows were written to',
    `count` UInt64 COMMENT 'How many rows' CODEC(ZSTD(1)),
    members String COMMENT 'Which rows, a JSON object: see INTEGRITY.md' CODEC(ZSTD(1)),
    digest String COMMENT 'SHA-256 of the rows, 64 hexadecimal digits' CODEC(ZSTD(1)),
    previous String COMMENT 'The link before, 64 hexadecimal digits; of the first, zeros' CODEC(ZSTD(1)),
    link String COMMENT 'SHA-256 of all the other columns, 64 hexadecimal digits' CODEC(ZSTD(1)),
    written_at DateTime64(6, 'UTC') COMMENT 'When it was made, by the clock of the writer' CODEC(Delta, ZSTD(1)),
    version UInt16 COMMENT 'Of the rules by which digest and link are made'
)
ENGINE = ReplacingMergeTree
ORDER BY (chain, sequence, link)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Storage of the integrity chains; may hold a repeated write until it is merged away. Read the view integrity.';

CREATE OR REPLACE VIEW integrity AS
SELECT * FROM integrity_data FINAL
COMMENT 'Every link of the integrity chains, once. The columns are described in integrity_data.';

CREATE TABLE IF NOT EXISTS anchors_data
(
    chain LowCardinality(String) COMMENT 'Name of the chain',
    sequence UInt64 COMMENT 'The last link that the anchor vouches for' CODEC(ZSTD(1)),
    link String COMMENT 'That link, 64 hexadecimal digits' CODEC(ZSTD(1)),
    anchored_at DateTime64(6, 'UTC') COMMENT 'When it was signed, by the clock of the writer' CODEC(ZSTD(1)),
    previous String COMMENT 'SHA-256 of the anchor before, 64 hexadecimal digits; of the first, zeros' CODEC(ZSTD(1)),
    public_key String COMMENT 'Ed25519 key to verify it with, 64 hexadecimal digits' CODEC(ZSTD(1)),
    signature String COMMENT 'Ed25519 signature of body, 128 hexadecimal digits' CODEC(ZSTD(1)),
    body String COMMENT 'What was signed: canonical JSON' CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree
ORDER BY (chain, sequence, anchored_at, signature)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Copies of the anchors, for convenience: what proves anything is the copy outside of the store. Read the view anchors.';

CREATE OR REPLACE VIEW anchors AS
SELECT * FROM anchors_data FINAL
COMMENT 'Every anchor of which the store has a copy, once. The columns are described in anchors_data.';
