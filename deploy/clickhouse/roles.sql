-- Roles of the event store on a ClickHouse server. An administrator of the server runs this after the first
-- `detector store migrate`, and again after an upgrade that brings new tables:
--
--     clickhouse-client --multiquery < roles.sql
--
-- It makes roles, not users. A user is made with one of them as its default, and a password that stands nowhere else:
--
--     CREATE USER detector IDENTIFIED WITH sha256_password BY '...' DEFAULT ROLE detector_writer;
--     GRANT detector_writer TO detector;
--
-- The database is `detector`; put the name of yours, if it is another. On a cluster, add ON CLUSTER to each statement.
-- Run it again as often as you like: what stands is left as it is.

-- Makes and changes the tables: `detector store migrate`, also after `store.retention` was changed. For people and for
-- deployment, not for the service.
CREATE ROLE IF NOT EXISTS detector_admin;
GRANT CREATE DATABASE, CREATE TABLE, CREATE VIEW, DROP TABLE, DROP VIEW, ALTER, TRUNCATE, OPTIMIZE, SELECT, INSERT
    ON detector.* TO detector_admin;
-- Needed with `store.cluster` only.
GRANT CLUSTER ON *.* TO detector_admin;

-- The service: it adds rows, and can't change or remove any. The one thing that it may change is whether a legal hold
-- keeps a row; whoever turns that off unseen lets rows expire, and the integrity chain shows them missing.
CREATE ROLE IF NOT EXISTS detector_writer;
GRANT SELECT ON detector.* TO detector_writer;
GRANT INSERT ON detector.events_data TO detector_writer;
GRANT INSERT ON detector.findings_data TO detector_writer;
GRANT INSERT ON detector.alerts_data TO detector_writer;
GRANT INSERT ON detector.exposures_data TO detector_writer;
GRANT INSERT ON detector.rejects_data TO detector_writer;
GRANT INSERT ON detector.config_versions_data TO detector_writer;
GRANT INSERT ON detector.operator_actions_data TO detector_writer;
GRANT INSERT ON detector.integrity_data TO detector_writer;
GRANT INSERT ON detector.anchors_data TO detector_writer;
GRANT ALTER UPDATE(held) ON detector.events_data TO detector_writer;
GRANT ALTER UPDATE(held) ON detector.findings_data TO detector_writer;
GRANT ALTER UPDATE(held) ON detector.alerts_data TO detector_writer;
GRANT ALTER UPDATE(held) ON detector.exposures_data TO detector_writer;
GRANT ALTER UPDATE(held) ON detector.rejects_data TO detector_writer;

-- With several replicas: the service asks what is stored before it writes, so let `store.url` name one of them, or an
-- address that leads to the same one for as long as it is up; and for rows that outlive the loss of a machine, add
-- CREATE SETTINGS PROFILE detector_writer_profile SETTINGS insert_quorum = 'auto' TO detector_writer.

-- Auditors read everything, within limits that leave the server to the service: a minute for a question, or ten if they
-- ask for them; 4 GiB of memory, or 16; a million rows. Reading is all that they can: no files, no URLs, no tables of
-- their own.
CREATE ROLE IF NOT EXISTS auditor;
GRANT SELECT ON detector.* TO auditor;

CREATE SETTINGS PROFILE IF NOT EXISTS auditor_profile SETTINGS
    readonly = 2 CONST,
    max_execution_time = 60 MAX 600,
    max_memory_usage = 4294967296 MAX 17179869184,
    max_result_rows = 1000000,
    max_threads = 4 MAX 8,
    priority = 10 CONST
    TO auditor;

CREATE QUOTA IF NOT EXISTS auditor_quota KEYED BY user_name
    FOR INTERVAL 1 hour MAX queries = 2000, execution_time = 3600
    TO auditor;

-- Analysts see who did what to which thing, how much and where to, and all that was found; not the original messages
-- and not the attributes, where words of people and of models may be. They read `events_without_contents` where others
-- read `events`.
CREATE ROLE IF NOT EXISTS analyst;
GRANT SELECT ON detector.events_without_contents TO analyst;
GRANT SELECT(
    principal, time, topic, `partition`, `offset`, `index`, received_at, format, verdict, id, kind, action,
    outcome, actor_id, actor_kind, actor_role, actor_on_behalf_of, session, target_uri, target_type,
    target_sensitivity, target_container_size, destination_host, destination_account, destination_recipient,
    destination_zone, bytes_out, bytes_in, records, permission_change, permission_grantee, permission_audience,
    permission_audience_count, permission_privilege, permission_requested, permission_temporary,
    permission_expires_at, permission_inherited_from, approval_required, approval_id, approval_by, thread,
    trace_id, parent_id, in_reply_to, written_by, written_in, held
) ON detector.events_data TO analyst;
GRANT SELECT(topic, `partition`, `offset`, `index`, reason, detail, received_at, held) ON detector.rejects_data TO analyst;
GRANT SELECT ON detector.findings TO analyst;
GRANT SELECT ON detector.findings_data TO analyst;
GRANT SELECT ON detector.alerts TO analyst;
GRANT SELECT ON detector.alerts_current TO analyst;
GRANT SELECT ON detector.alerts_data TO analyst;
GRANT SELECT ON detector.exposures TO analyst;
GRANT SELECT ON detector.exposure_versions TO analyst;
GRANT SELECT ON detector.exposure_reads TO analyst;
GRANT SELECT ON detector.exposures_data TO analyst;
GRANT SELECT ON detector.principal_minutes TO analyst;
GRANT SELECT ON detector.principal_minutes_data TO analyst;
GRANT SELECT ON detector.operator_actions TO analyst;
GRANT SELECT ON detector.operator_actions_data TO analyst;
GRANT SELECT ON detector.verdicts TO analyst;
GRANT SELECT ON detector.detector_precision TO analyst;
GRANT SELECT ON detector.holds TO analyst;
GRANT SELECT ON detector.config_versions TO analyst;
GRANT SELECT ON detector.config_versions_data TO analyst;
GRANT SELECT ON detector.integrity TO analyst;
GRANT SELECT ON detector.integrity_data TO analyst;
GRANT SELECT ON detector.anchors TO analyst;
GRANT SELECT ON detector.anchors_data TO analyst;
GRANT SELECT ON detector.schema_migrations TO analyst;

CREATE SETTINGS PROFILE IF NOT EXISTS analyst_profile SETTINGS
    INHERIT 'auditor_profile'
    TO analyst;

CREATE QUOTA IF NOT EXISTS analyst_quota KEYED BY user_name
    FOR INTERVAL 1 hour MAX queries = 2000, execution_time = 3600
    TO analyst;
