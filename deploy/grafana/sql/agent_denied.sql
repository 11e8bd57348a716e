SELECT sum(denied) AS denied
FROM principal_minutes
WHERE principal = decodeURLComponent('${principal:percentencode}') AND $__timeFilter(minute)
