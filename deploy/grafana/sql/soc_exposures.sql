SELECT
    resource AS "Resource",
    sensitivity AS "Sensitivity",
    opened_at AS "Opened",
    opened_by AS "By",
    audience_before AS "Open to, before",
    audience_after AS "Open to, now",
    readers AS "New readers",
    overdue AS "Overdue",
    incident AS "Incident"
FROM exposures
WHERE status = 'open'
ORDER BY opened_at
LIMIT 50
