SELECT $__timeInterval(minute) AS time, sum(records) AS records, sum(sensitive) AS "acts on sensitive data"
FROM principal_minutes
WHERE principal = decodeURLComponent('${principal:percentencode}') AND $__timeFilter(minute)
GROUP BY time
ORDER BY time
