SELECT argMax(role, minute) AS role, dateDiff('day', min(minute), max(minute)) + 1 AS days, count() AS minutes
FROM principal_minutes
WHERE principal = decodeURLComponent('${principal:percentencode}')
