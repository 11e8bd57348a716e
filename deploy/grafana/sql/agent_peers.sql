SELECT arrayJoin([$__fromTime, $__toTime]) AS time, quantile(0.95)(left) AS "usual for its role"
FROM
(
    SELECT
        principal,
        intDiv(toUnixTimestamp(minute), $__interval_s) AS slot,
        sum(bytes_internal + bytes_approved + bytes_external + bytes_public + bytes_unknown) AS left
    FROM principal_minutes
    WHERE role =
        (
            SELECT argMax(role, minute)
            FROM principal_minutes
            WHERE principal = decodeURLComponent('${principal:percentencode}')
        )
        AND principal != decodeURLComponent('${principal:percentencode}')
        AND minute >= $__fromTime - INTERVAL 14 DAY AND minute < $__fromTime
    GROUP BY principal, slot
    HAVING left > 0
)
