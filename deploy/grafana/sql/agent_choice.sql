SELECT principal
FROM principal_minutes
LEFT JOIN (SELECT principal, count() AS found FROM findings WHERE $__timeFilter(time) GROUP BY principal) AS f
    USING principal
WHERE $__timeFilter(minute)
GROUP BY principal
ORDER BY any(found) DESC, principal
LIMIT 2000
