SELECT
    toStartOfDay(detected_at) AS time,
    countIf(severity = 'SEV0') AS SEV0,
    countIf(severity = 'SEV1') AS SEV1,
    countIf(severity = 'SEV2') AS SEV2,
    countIf(severity = 'SEV3') AS SEV3,
    countIf(severity = 'SEV4') AS SEV4
FROM alerts_current
WHERE $__timeFilter(detected_at)
GROUP BY time
ORDER BY time
