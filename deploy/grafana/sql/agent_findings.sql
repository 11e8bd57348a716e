SELECT
    time AS "Time",
    severity AS "Severity",
    detector AS "Detector",
    reason AS "Why",
    p_value AS "Probability",
    suppressed AS "Suppressed by",
    event_id AS "Event"
FROM findings
WHERE principal = decodeURLComponent('${principal:percentencode}') AND $__timeFilter(time)
ORDER BY time DESC, id
LIMIT 200
