SELECT sum(events) AS acts
FROM principal_minutes
WHERE principal = decodeURLComponent('${principal:percentencode}') AND $__timeFilter(minute)
