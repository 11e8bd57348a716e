SELECT
    $__timeInterval(minute) AS time,
    sum(bytes_internal) AS internal,
    sum(bytes_approved) AS approved,
    sum(bytes_external) AS external,
    sum(bytes_public) AS public,
    sum(bytes_unknown) AS unknown
FROM principal_minutes
WHERE principal = decodeURLComponent('${principal:percentencode}') AND $__timeFilter(minute)
GROUP BY time
ORDER BY time
