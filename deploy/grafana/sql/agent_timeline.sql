SELECT time AS "Time", what AS "What", severity AS "Severity", text AS "Which"
FROM
(
    SELECT
        time,
        kind AS what,
        '' AS severity,
        concat(action, ' ', target_uri,
            if(destination_host != '', concat(' → ', destination_host, ' (', destination_zone, ')'), ''),
            if(records > 0, concat(', ', toString(records), ' records'), ''),
            if(bytes_out > 0, concat(', ', formatReadableSize(bytes_out), ' out'), ''),
            if(outcome != 'success', concat(', ', outcome), ''),
            if(actor_id != principal, concat(', by ', actor_id), '')) AS text
    FROM events_without_contents
    WHERE principal = decodeURLComponent('${principal:percentencode}') AND $__timeFilter(time) AND verdict != 'duplicate'
    UNION ALL
    SELECT time, concat('finding: ', detector), severity, reason
    FROM findings
    WHERE principal = decodeURLComponent('${principal:percentencode}') AND $__timeFilter(time)
    UNION ALL
    SELECT updated_at, concat('alert ', status), severity, title
    FROM alerts
    WHERE has(principals, decodeURLComponent('${principal:percentencode}')) AND $__timeFilter(updated_at)
)
ORDER BY time DESC, what
LIMIT 500
