SELECT
    role AS "Role",
    uniqExact(principal) AS "Principals",
    count() AS "Findings",
    countIf(severity <= 'SEV3') AS "SEV3 and worse",
    topK(1)(detector)[1] AS "Mostly"
FROM findings
WHERE $__timeFilter(time)
GROUP BY role
ORDER BY "SEV3 and worse" DESC, "Findings" DESC, role
LIMIT 50
