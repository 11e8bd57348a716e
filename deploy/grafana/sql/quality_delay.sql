-- From the first thing that was found to the event that raised the alert.
SELECT
    severity AS "Severity",
    count() AS "Alerts",
    quantile(0.5)(dateDiff('second', opened_at, detected_at)) AS "Half within",
    quantile(0.9)(dateDiff('second', opened_at, detected_at)) AS "90 % within",
    countIf(status = 'resolved') AS "Resolved",
    avg(finding_count) AS "Findings each"
FROM alerts_current
WHERE $__timeFilter(detected_at)
GROUP BY severity
ORDER BY severity
