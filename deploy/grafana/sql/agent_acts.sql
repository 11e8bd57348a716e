SELECT $__timeInterval(time) AS time, kind, count() AS acts
FROM events_without_contents
WHERE principal = decodeURLComponent('${principal:percentencode}') AND $__timeFilter(time) AND verdict != 'duplicate'
GROUP BY time, kind
ORDER BY time, kind
