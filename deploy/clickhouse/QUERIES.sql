-- The statements behind `detector audit`: the same texts that the program runs (a test compares them), for clickhouse
-- client, a notebook or another tool. Written by `python -m tests.support.queries`: don't edit.
--
-- A value in braces is a parameter with its type. clickhouse client takes them on its command line:
--
--     clickhouse client --database detector --param_principal=content-moderation-agent-02 \
--         --param_since='2026-03-06 00:00:00' --param_until='2026-03-07 00:00:00' --param_most=1000 --query="..."
--
-- Times are UTC. Without an end, take since = 1900-01-01 and until = 2299-12-31. Read the views, not the tables *_data:
-- these may hold a repeated write twice. Some statements read *_data where that makes no difference, and say so. Where
-- {source:Identifier} stands, give the view events; the program tries the faster events_data, and looks if that does.

-- ===== timeline: What happened, in order: the acts of a principal, a session or an incident, with what was found between them.

-- timeline.of_principal
SELECT time, id, principal, actor_id, kind, action, outcome, verdict, target_uri, target_sensitivity,
    coalesce(nullIf(destination_host, ''), nullIf(destination_account, ''), destination_recipient) AS destination,
    destination_zone, bytes_in, bytes_out, records, session, thread,
    permission_change, permission_grantee, permission_audience, permission_audience_count, permission_privilege
FROM events
WHERE principal = {principal:String} AND time >= {since:DateTime64(6, 'UTC')} AND time < {until:DateTime64(6, 'UTC')}
ORDER BY time, topic, partition, offset, index
LIMIT {most:UInt64};

-- timeline.of_session
SELECT time, id, principal, actor_id, kind, action, outcome, verdict, target_uri, target_sensitivity,
    coalesce(nullIf(destination_host, ''), nullIf(destination_account, ''), destination_recipient) AS destination,
    destination_zone, bytes_in, bytes_out, records, session, thread,
    permission_change, permission_grantee, permission_audience, permission_audience_count, permission_privilege
FROM events
WHERE session = {session:String} AND time >= {since:DateTime64(6, 'UTC')} AND time < {until:DateTime64(6, 'UTC')}
    AND principal IN (SELECT principal FROM events_data WHERE session = {session:String})
ORDER BY time, topic, partition, offset, index
LIMIT {most:UInt64};

-- timeline.findings
SELECT time, id, event_id, principal, severity, detector, rule, score, reason, suppressed, session
FROM findings
WHERE (principal = {principal:String} OR ({session:String} != '' AND session = {session:String})
        OR id IN {ids:Array(String)} OR event_id IN {events:Array(String)})
    AND time >= {since:DateTime64(6, 'UTC')} AND time < {until:DateTime64(6, 'UTC')}
ORDER BY time, id
LIMIT {most:UInt64};

-- timeline.alerts
SELECT id, version, status, severity, title, resolution, principals, opened_at, detected_at, updated_at,
    lagInFrame(severity) OVER (PARTITION BY id ORDER BY version) AS severity_before
FROM alerts
WHERE id IN
(
    SELECT id FROM alerts_data
    WHERE has(principals, {principal:String}) OR id = {incident:String} OR hasAny(finding_ids, {ids:Array(String)})
)
ORDER BY id, version;

-- timeline.exposures
SELECT id, resource, sensitivity, opened_at, opened_by, opening_event, audience_after, audience_after_count,
    closed_at, closed_by, closing_event, resolution
FROM exposures
WHERE opened_by = {principal:String} OR closed_by = {principal:String} OR incident = {incident:String}
    OR opening_event IN {events:Array(String)}
ORDER BY opened_at, id;

-- timeline.actions
SELECT time, id, operator, action, subject, reason
FROM operator_actions
WHERE subject IN {subjects:Array(String)}
    AND time >= {since:DateTime64(6, 'UTC')} AND time < {until:DateTime64(6, 'UTC')}
ORDER BY time, id;

-- timeline.alike
SELECT DISTINCT principal
FROM principal_minutes_data
WHERE positionCaseInsensitive(principal, {part:String}) > 0
LIMIT 5;

-- ===== incident: One incident, gathered: its alert's versions, findings, events, people, data, and when harm was first done.

-- incident.versions
SELECT * FROM alerts WHERE id = {incident:String} ORDER BY version;

-- incident.findings
SELECT *
FROM findings
WHERE id IN (SELECT arrayJoin(finding_ids) FROM alerts_data WHERE id = {incident:String})
ORDER BY time, id;

-- incident.alike
SELECT id, severity, title, detected_at
FROM alerts_current
ORDER BY detected_at DESC
LIMIT 5;

-- incident.of_principals
-- By the people and agents of the incident: what shares something with it, orders to them, and what they did alone.
SELECT time, id, principal, actor_id, actor_kind, actor_role, actor_on_behalf_of, kind, action, outcome, verdict,
    target_uri, target_type, target_sensitivity,
    coalesce(nullIf(destination_host, ''), nullIf(destination_account, ''), destination_recipient) AS destination,
    destination_zone, bytes_in, bytes_out, records, session, thread,
    permission_change, permission_grantee, permission_audience, permission_audience_count, permission_privilege
FROM events
WHERE principal IN {principals:Array(String)}
    AND time >= {since:DateTime64(6, 'UTC')} AND time < {until:DateTime64(6, 'UTC')}
    AND (id IN {events:Array(String)} OR target_uri IN {resources:Array(String)} OR kind = 'control'
        OR (session != '' AND session IN {sessions:Array(String)}))
ORDER BY time, topic, partition, offset, index
LIMIT {most:UInt64};

-- incident.of_threads
-- By anybody: what was said in its threads.
SELECT time, id, principal, actor_id, actor_kind, actor_role, actor_on_behalf_of, kind, action, outcome, verdict,
    target_uri, target_type, target_sensitivity,
    coalesce(nullIf(destination_host, ''), nullIf(destination_account, ''), destination_recipient) AS destination,
    destination_zone, bytes_in, bytes_out, records, session, thread,
    permission_change, permission_grantee, permission_audience, permission_audience_count, permission_privilege
FROM events
WHERE thread IN {threads:Array(String)}
    AND time >= {since:DateTime64(6, 'UTC')} AND time < {until:DateTime64(6, 'UTC')}
ORDER BY time, topic, partition, offset, index
LIMIT {most:UInt64};

-- ===== report: An incident as a report that a person can file: the facts of it, as Markdown or as a page that stands by itself.

-- report.actions
SELECT time, operator, action, subject, reason
FROM operator_actions
WHERE subject IN {subjects:Array(String)}
ORDER BY time, id;

-- ===== pictures: The charts of an incident's report: what they show, taken out of the store.

-- pictures.hours
SELECT toStartOfHour(minute) AS hour,
    sum(bytes_internal + bytes_approved + bytes_external + bytes_public + bytes_unknown) AS bytes_out,
    sum(m.bytes_in) AS bytes_in
FROM principal_minutes AS m
WHERE principal = {principal:String}
    AND minute >= {since:DateTime64(6, 'UTC')} AND minute < {until:DateTime64(6, 'UTC')}
GROUP BY hour
ORDER BY hour;

-- pictures.reads
SELECT time, principal, records
FROM events
WHERE target_uri = {resource:String} AND principal IN {principals:Array(String)}
    AND time >= {since:DateTime64(6, 'UTC')} AND time < {until:DateTime64(6, 'UTC')}
    AND kind IN ('access', 'transfer', 'call') AND outcome = 'success' AND verdict != 'duplicate'
ORDER BY time, principal;

-- ===== proof: What proves that the rows of an incident are as they were written: their links, verified again.

-- proof.written
SELECT DISTINCT written_by, written_in
FROM
(
    SELECT written_by, written_in
    FROM events
    WHERE principal IN {principals:Array(String)} AND id IN {events:Array(String)}
        AND time >= {since:DateTime64(6, 'UTC')} AND time < {until:DateTime64(6, 'UTC')}
    UNION ALL
    SELECT written_by, written_in FROM findings WHERE id IN {findings:Array(String)}
    UNION ALL
    SELECT written_by, written_in FROM alerts WHERE id = {incident:String}
);

-- proof.links
SELECT chain, min(sequence) AS first, max(sequence) AS last, count() AS links, sum(i.count) AS rows,
    min(written_at) AS first_written, max(written_at) AS last_written, argMax(link, sequence) AS head
FROM integrity AS i
WHERE (chain, sequence) IN {links:Array(Tuple(String, UInt64))}
GROUP BY chain
ORDER BY chain;

-- proof.to_check
SELECT sum(i.count) AS rows FROM integrity AS i WHERE written_at >= {since:DateTime64(6, 'UTC')};

-- ===== exposure: Windows in which sensitive data stood open to more people than before, and who came to read meanwhile.

-- exposure.windows
-- Of a window that is open still, time runs to the latest event that the store holds.
SELECT *, dateDiff('microsecond', opened_at, coalesce(closed_at, {now:DateTime64(6, 'UTC')})) / 1e6 AS open_seconds
FROM exposures
WHERE ({resource:String} = '' OR resource = {resource:String})
    AND ({incident:String} = '' OR incident = {incident:String} OR opening_event IN {events:Array(String)})
    AND (NOT {open:Bool} OR status = 'open')
    AND opened_at < {until:DateTime64(6, 'UTC')} AND (closed_at IS NULL OR closed_at >= {since:DateTime64(6, 'UTC')})
ORDER BY opened_at, id;

-- exposure.reads
-- Whoever reached the resource before it was opened, as far as the store goes back, was no news to it. An attempt that
-- failed read nothing, and a repeat that scoring knew is the same read.
WITH
    x.opened_at <= e.time AND (x.closed_at IS NULL OR e.time < x.closed_at) AS meanwhile
SELECT
    x.id AS exposure,
    x.resource AS resource,
    e.principal AS principal,
    any(e.actor_kind) AS principal_kind,
    any(e.actor_role) AS role,
    min(e.time) >= any(x.opened_at) AS newly_admitted,
    countIf(meanwhile) AS reads,
    sumIf(e.records, meanwhile) AS records,
    sumIf(e.bytes_in, meanwhile) AS bytes_in,
    sumIf(e.bytes_out, meanwhile) AS bytes_out,
    minIf(e.time, meanwhile) AS first_read,
    maxIf(e.time, meanwhile) AS last_read
FROM (SELECT id, resource, opened_at, opened_by, closed_at FROM exposures WHERE id IN {exposures:Array(String)}) AS x
INNER JOIN
(
    SELECT principal, actor_kind, actor_role, target_uri, time, records, bytes_in, bytes_out
    FROM events
    WHERE target_uri IN {resources:Array(String)}
        AND kind IN ('access', 'transfer', 'call') AND outcome = 'success' AND verdict != 'duplicate'
) AS e ON e.target_uri = x.resource
WHERE e.principal != x.opened_by
GROUP BY x.id, x.resource, e.principal
HAVING reads > 0
ORDER BY exposure, newly_admitted DESC, first_read, principal;

-- exposure.now
SELECT max(time) AS now FROM events_data;

-- ===== access: Who reached a resource, and by which permission.

-- access.changes
-- Both are asked of the table first, which takes half the time of the view, and of the view if the answer shows that a
-- row is there twice. From the beginning of the store: what was granted before the span still holds in it.
SELECT time, actor_id, actor_kind, permission_change, permission_privilege, permission_grantee, permission_audience,
    permission_audience_count, permission_temporary, permission_expires_at, permission_inherited_from,
    approval_id, approval_by, thread, outcome, id, principal, topic, partition, offset, index
FROM {source:Identifier}
WHERE target_uri = {resource:String} AND permission_change != '' AND verdict != 'duplicate'
    AND time < {until:DateTime64(6, 'UTC')}
ORDER BY time, topic, partition, offset, index;

-- access.access
-- Sums between one change of permissions and the next, within the span and before it, for who had access before.
-- Rows that are there twice have one principal, one time and one offset: then there are fewer places than acts.
SELECT principal, any(actor_kind) AS kind, any(actor_role) AS role,
    arrayCount(changed -> changed <= time, {changes:Array(DateTime64(6, 'UTC'))}) AS after,
    time >= {since:DateTime64(6, 'UTC')} AS asked,
    minIf(time, outcome = 'success') AS succeeded,
    count() AS acts,
    groupBitmap(toUInt64(offset)) AS places,
    countIf(e.kind IN ('access', 'call', 'transfer') AND outcome = 'success') AS reads,
    countIf(e.kind IN ('permission', 'publish', 'delete') AND outcome = 'success') AS changes,
    countIf(outcome = 'denied') AS denied,
    sum(e.records) AS records, sum(e.bytes_in) AS bytes_in, sum(e.bytes_out) AS bytes_out,
    min(time) AS first, max(time) AS last
FROM {source:Identifier} AS e
WHERE target_uri = {resource:String} AND e.kind NOT IN ('control', 'auth') AND verdict != 'duplicate'
    AND time < {until:DateTime64(6, 'UTC')}
GROUP BY principal, after, asked
ORDER BY first, principal;

-- access.alike
SELECT DISTINCT target_uri
FROM events_data
WHERE positionCaseInsensitive(target_uri, {part:String}) > 0
LIMIT 5;

-- ===== why: Why there is an alert, or a finding: scores, evidence, what suppressed it, and the configuration in force.

-- why.alert
SELECT * FROM alerts WHERE id = {id:String} ORDER BY version;

-- why.findings_of_alert
SELECT *
FROM findings
WHERE id IN (SELECT arrayJoin(finding_ids) FROM alerts_data WHERE id = {id:String})
ORDER BY time, id;

-- why.finding
SELECT * FROM findings WHERE id = {id:String};

-- why.alerts_of_finding
SELECT id, version, opened_at, updated_at, status, severity, risk, finding_count, title, resolution, config
FROM alerts
WHERE has(finding_ids, {id:String})
ORDER BY id, version
LIMIT 1 BY id;

-- why.configs
SELECT config, hash, first_seen, version, source, body
FROM config_versions
WHERE config IN {configs:Array(String)}
ORDER BY first_seen;

-- ===== why-not: Why an event raised no alert: its story is played again, and each detector's score told against its limit.

-- why_not.event
SELECT *, coalesce(nullIf(destination_host, ''), nullIf(destination_account, ''), destination_recipient) AS destination
FROM events
WHERE id = {id:String}
ORDER BY time, topic, partition, offset, index
LIMIT 10;

-- why_not.findings
SELECT * FROM findings WHERE event_id = {id:String} ORDER BY time, id;

-- why_not.findings_of
SELECT id, score, suppressed
FROM findings
WHERE principal = {principal:String} AND time >= {since:DateTime64(6, 'UTC')} AND time <= {until:DateTime64(6, 'UTC')};

-- why_not.alerts
SELECT id, severity, title
FROM alerts
WHERE hasAny(finding_ids, {findings:Array(String)}) OR has(event_ids, {id:String})
ORDER BY id, version DESC
LIMIT 1 BY id;

-- why_not.config
SELECT config, body, first_seen
FROM config_versions
ORDER BY first_seen <= {at:DateTime64(6, 'UTC')} DESC, abs(dateDiff('second', first_seen, {at:DateTime64(6, 'UTC')}))
LIMIT 1;

-- why_not.config_named
SELECT config, body, first_seen FROM config_versions WHERE config = {config:String} LIMIT 1;

-- ===== played: What came before an event, played again through the two stages, with a witness among the detectors.

-- played.past
-- How much of the past there is: of the whole fleet, of the principal's role, of the principal.
SELECT count() AS fleet, countIf(actor_role = {role:String} OR e.principal = {principal:String}) AS role,
    countIf(e.principal = {principal:String}) AS principal
FROM events_data AS e
WHERE topic IN {topics:Array(String)} AND time <= {until:DateTime64(6, 'UTC')};

-- played.history
-- In the order of reading within a partition; between partitions by event time, as they are aligned when they are read.
SELECT topic, partition, offset, index, id, format, received_at, raw
FROM
(
    SELECT topic, partition, offset, index, id, format, received_at, raw,
        max(time) OVER (PARTITION BY topic, partition ORDER BY offset, index) AS reached
    FROM events
    WHERE topic IN {topics:Array(String)} AND time <= {until:DateTime64(6, 'UTC')}
        AND ({scope:String} = 'fleet' OR principal = {principal:String}
            OR ({scope:String} = 'role' AND actor_role = {role:String}))
        AND (topic != {topic:String} OR partition != {partition:Int32}
            OR (offset, index) <= ({offset:Int64}, {index:UInt32}))
)
ORDER BY reached, topic, partition, offset, index;

-- ===== egress: Where a principal's data went: volumes by destination, the new ones marked.

-- egress.destinations
SELECT
    coalesce(nullIf(destination_host, ''), nullIf(destination_account, ''), destination_recipient) AS destination,
    argMax(destination_zone, time) AS zone,
    min(time) AS first_ever,
    countIf(asked) AS acts,
    countIf(asked AND outcome != 'success') AS failed,
    sumIf(e.bytes_out, asked AND outcome = 'success') AS bytes_out,
    sumIf(e.records, asked AND outcome = 'success') AS records,
    uniqExactIf(session, asked AND session != '') AS sessions,
    countIf(asked AND target_sensitivity IN ('confidential', 'restricted')) AS sensitive_acts,
    minIf(time, asked) AS first,
    maxIf(time, asked) AS last,
    groupArrayIf(id, asked) AS ids
FROM
(
    SELECT *, time >= {since:DateTime64(6, 'UTC')} AS asked
    FROM events
    WHERE principal = {principal:String} AND time < {until:DateTime64(6, 'UTC')} AND verdict != 'duplicate'
        AND (destination_host != '' OR destination_account != '' OR destination_recipient != '')
) AS e
GROUP BY destination
HAVING acts > 0
ORDER BY bytes_out DESC, destination;

-- egress.known_since
SELECT min(time) AS since, count() AS events FROM events_data WHERE principal = {principal:String};

-- egress.fleet
-- Repeated rows change neither how many there are nor which was first.
SELECT
    coalesce(nullIf(destination_host, ''), nullIf(destination_account, ''), destination_recipient) AS destination,
    uniqExactIf(principal, principal != {principal:String}) AS others,
    argMin(principal, time) = {principal:String} AS first_in_fleet
FROM events_data
WHERE destination_host IN {names:Array(String)} OR destination_account IN {names:Array(String)}
    OR destination_recipient IN {names:Array(String)}
GROUP BY destination;

-- egress.findings
SELECT event_id, id, severity
FROM findings
WHERE principal = {principal:String} AND detector IN ('new_endpoint', 'exfiltration', 'transfer_rate')
ORDER BY severity, time, id;

-- ===== coverage: What the log does not hold: offsets that are missing, sources and agents that fell silent, what was refused.

-- coverage.blocks
-- A bitmap counts the offsets of a block exactly, in little memory, and rows that are there twice once. One for what was
-- read of each format, one for what was refused; then they are laid over each other.
SELECT topic, partition, block, min(lowest) AS first_offset, max(highest) AS last_offset,
    groupBitmapMergeIf(offsets, is_event) AS read, groupBitmapMergeIf(offsets, NOT is_event) AS rejected,
    groupBitmapMerge(offsets) AS held, min(earliest) AS first, max(latest) AS last,
    sumIf(counted, is_event) AS rows, minIf(earliest, is_event) AS first_event, maxIf(latest, is_event) AS last_event,
    groupArrayIf((format, latest), is_event) AS formats
FROM
(
    SELECT topic, partition, format, bitShiftRight(offset, 16) AS block, true AS is_event,
        min(offset) AS lowest, max(offset) AS highest, groupBitmapState(toUInt32(bitAnd(offset, 65535))) AS offsets,
        min(time) AS earliest, max(time) AS latest, count() AS counted
    FROM events_data
    WHERE time >= {since:DateTime64(6, 'UTC')} AND time < {until:DateTime64(6, 'UTC')} AND offset >= 0
    GROUP BY topic, partition, format, block
    UNION ALL
    SELECT topic, partition, '' AS format, bitShiftRight(offset, 16) AS block, false AS is_event,
        min(offset) AS lowest, max(offset) AS highest, groupBitmapState(toUInt32(bitAnd(offset, 65535))) AS offsets,
        min(received_at) AS earliest, max(received_at) AS latest, count() AS counted
    FROM rejects_data
    WHERE received_at >= {since:DateTime64(6, 'UTC')} AND received_at < {until:DateTime64(6, 'UTC')} AND offset >= 0
    GROUP BY topic, partition, block
)
GROUP BY topic, partition, block
ORDER BY topic, partition, block;

-- coverage.gaps
SELECT topic, partition, before AS after_offset, o AS before_offset, o - before - 1 AS missing,
    at_before AS after_time, at AS before_time
FROM
(
    SELECT topic, partition, o, at,
        lagInFrame(o) OVER w AS before, lagInFrame(at) OVER w AS at_before, row_number() OVER w AS place
    FROM
    (
        SELECT topic, partition, o, min(time) AS at
        FROM
        (
            SELECT topic, partition, offset AS o, time
            FROM events_data
            WHERE topic = {topic:String} AND partition = {partition:Int32}
                AND offset >= {first:Int64} AND offset <= {last:Int64}
                AND time >= {since:DateTime64(6, 'UTC')} AND time < {until:DateTime64(6, 'UTC')}
            UNION ALL
            SELECT topic, partition, offset AS o, received_at AS time
            FROM rejects_data
            WHERE topic = {topic:String} AND partition = {partition:Int32}
                AND offset >= {first:Int64} AND offset <= {last:Int64}
                AND received_at >= {since:DateTime64(6, 'UTC')} AND received_at < {until:DateTime64(6, 'UTC')}
        )
        GROUP BY topic, partition, o
    )
    WINDOW w AS (PARTITION BY topic, partition ORDER BY o ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)
)
WHERE place > 1 AND missing > 0
ORDER BY before_offset
LIMIT {most:UInt64};

-- coverage.principals
-- By the minute, from the rollup, whose rows of one minute add up: the inner question has, of every principal, the
-- silences between its minutes; the outer one tells the rest of those that it finds. Its role is that of most events:
-- orders to an agent have the role of who gave them.
SELECT principal AS name, sumMap([role], [m.events]) AS roles,
    arraySort((name, count) -> (-toInt64(count), name), roles.1, roles.2)[1] AS kind,
    max(minute) AS last_minute, sum(m.events) AS events,
    uniqExact(minute) AS active_minutes,
    arrayMax(arrayDifference(arraySort(groupArray(toUInt32(minute))))) AS longest_before_seconds
FROM principal_minutes_data AS m
WHERE minute >= toStartOfMinute({since:DateTime64(6, 'UTC')}) AND minute < {until:DateTime64(6, 'UTC')}
    AND principal IN
    (
        SELECT principal
        FROM principal_minutes_data
        WHERE minute >= toStartOfMinute({since:DateTime64(6, 'UTC')}) AND minute < {until:DateTime64(6, 'UTC')}
        GROUP BY principal
        HAVING dateDiff('second', max(minute), {now:DateTime64(6, 'UTC')}) > greatest(
            {silence:Float64},
            {own:Float64} * arrayMax(arrayDifference(arraySort(groupArray(toUInt32(minute)))))
        )
    )
GROUP BY principal
HAVING active_minutes >= {least:UInt32}
ORDER BY last_minute DESC, name;

-- coverage.sources
-- Those sources alone whose last event is past `silence`; repeated rows change nothing but the number of events.
SELECT topic AS name, format AS kind, max(minute) AS last_minute, sum(n) AS events, count() AS active_minutes,
    arraySort(groupArray(toUnixTimestamp(minute))) AS minutes,
    arrayMax(arrayDifference(minutes)) AS longest_before_seconds
FROM
(
    SELECT topic, format, toStartOfMinute(time) AS minute, count() AS n
    FROM events_data
    WHERE (topic, format) IN {sources:Array(Tuple(String, String))}
        AND time >= {since:DateTime64(6, 'UTC')} AND time < {until:DateTime64(6, 'UTC')}
    GROUP BY topic, format, minute
)
GROUP BY topic, format
HAVING active_minutes >= {least:UInt32}
    AND dateDiff('second', last_minute, {now:DateTime64(6, 'UTC')})
        > greatest({silence:Float64}, {own:Float64} * longest_before_seconds)
ORDER BY last_minute DESC, name;

-- coverage.rejects
SELECT topic, partition, reason, count() AS rejects, min(received_at) AS first, max(received_at) AS last,
    argMin(detail, received_at) AS example
FROM rejects
WHERE received_at >= {since:DateTime64(6, 'UTC')} AND received_at < {until:DateTime64(6, 'UTC')}
GROUP BY topic, partition, reason
ORDER BY rejects DESC, topic, partition, reason;

-- coverage.verdicts
SELECT topic, verdict, uniqExact(partition, offset, index) AS events, min(time) AS first, max(time) AS last
FROM events_data
WHERE verdict != 'scored'
    AND time >= {since:DateTime64(6, 'UTC')} AND time < {until:DateTime64(6, 'UTC')}
GROUP BY topic, verdict
ORDER BY topic, verdict;

-- coverage.extent
-- Where rows are there twice, or messages held several events: else the blocks tell it.
SELECT count() AS events, min(time) AS first, max(time) AS last
FROM events
WHERE time >= {since:DateTime64(6, 'UTC')} AND time < {until:DateTime64(6, 'UTC')};
