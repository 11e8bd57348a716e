-- The weights are those with which correlation reckons an incident's risk by default.
SELECT
    principal AS "Principal",
    any(kind) AS "Kind",
    any(role) AS "Role",
    min(worst_of) AS "Worst",
    round(1 - exp(sum(log(1 - weight))), 3) AS "Risk",
    sum(times) AS "Findings",
    arrayStringConcat(groupArray(detector), ', ') AS "Detectors",
    max(latest_of) AS "Latest"
FROM
(
    SELECT
        principal,
        detector,
        any(principal_kind) AS kind,
        any(role) AS role,
        min(severity) AS worst_of,
        transform(worst_of, ['SEV0', 'SEV1', 'SEV2', 'SEV3'], [0.95, 0.85, 0.65, 0.4], 0.1) AS weight,
        count() AS times,
        max(time) AS latest_of
    FROM findings
    WHERE $__timeFilter(time) AND suppressed = ''
    GROUP BY principal, detector
    ORDER BY worst_of, detector
)
GROUP BY principal
ORDER BY "Risk" DESC, "Findings" DESC, principal
LIMIT 20
