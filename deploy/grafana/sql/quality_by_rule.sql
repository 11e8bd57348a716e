-- In an alert: it is among the findings that the alert names, the first and the latest of them.
SELECT
    detector AS "Detector",
    rule AS "Rule",
    count() AS "Findings",
    uniqExact(principal) AS "Principals",
    countIf(severity <= 'SEV2') AS "SEV2 and worse",
    countIf(has(told, id)) / count() AS "In an alert",
    countIf(suppressed != '') / count() AS "Suppressed",
    minIf(p_value, p_value IS NOT NULL) AS "Least probable",
    max(time) AS "Latest"
FROM findings
CROSS JOIN (SELECT groupUniqArrayArray(finding_ids) AS told FROM alerts_current) AS named
WHERE $__timeFilter(time)
GROUP BY detector, rule
ORDER BY "Findings" DESC, detector, rule
LIMIT 100
