SELECT
    time AS "Time",
    alert AS "Alert",
    severity AS "Severity",
    verdict AS "Verdict",
    operator AS "By",
    reason AS "Why",
    arrayStringConcat(detectors, ', ') AS "Found by",
    multiIf(refused != '', concat('refused: ', refused), withdrawn_at IS NOT NULL, 'withdrawn', in_force, 'yes', 'replaced')
        AS "In force"
FROM verdicts
WHERE $__timeFilter(time)
ORDER BY time DESC, id
LIMIT 100
