-- First seen counts from the beginning of the store, the rest from that of the time range.
SELECT
    coalesce(nullIf(destination_host, ''), nullIf(destination_account, ''), destination_recipient) AS "Endpoint",
    argMax(destination_zone, time) AS "Zone",
    min(time) >= $__fromTime AS "New",
    min(time) AS "First seen",
    countIf(time >= $__fromTime) AS "Acts",
    sumIf(bytes_out, time >= $__fromTime) AS "Bytes out",
    sumIf(records, time >= $__fromTime) AS "Records"
FROM events_without_contents
WHERE principal = decodeURLComponent('${principal:percentencode}') AND time <= $__toTime AND verdict != 'duplicate'
GROUP BY "Endpoint"
HAVING "Endpoint" != '' AND "Acts" > 0
ORDER BY "New" DESC, "Bytes out" DESC
LIMIT 100
