SELECT sum(bytes_external + bytes_public + bytes_unknown) AS outside
FROM principal_minutes
WHERE principal = decodeURLComponent('${principal:percentencode}') AND $__timeFilter(minute)
