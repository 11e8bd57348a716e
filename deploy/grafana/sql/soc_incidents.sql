SELECT
    severity AS "Severity",
    title AS "Incident",
    arrayStringConcat(principals, ', ') AS "Who",
    arrayStringConcat(detectors, ', ') AS "Found by",
    risk AS "Risk",
    finding_count AS "Findings",
    detected_at AS "Raised",
    updated_at AS "Latest",
    runbook AS "What to do first",
    id AS "Alert"
FROM alerts_current
WHERE status != 'resolved'
ORDER BY severity, updated_at DESC
LIMIT 100
