-- Of the intervals in which anything left: what a busy one is like. The two weeks before the time range, so that what
-- is looked at does not call itself usual.
SELECT arrayJoin([$__fromTime, $__toTime]) AS time, quantile(0.95)(left) AS "usual for it"
FROM
(
    SELECT
        intDiv(toUnixTimestamp(minute), $__interval_s) AS slot,
        sum(bytes_internal + bytes_approved + bytes_external + bytes_public + bytes_unknown) AS left
    FROM principal_minutes
    WHERE principal = decodeURLComponent('${principal:percentencode}')
        AND minute >= $__fromTime - INTERVAL 14 DAY AND minute < $__fromTime
    GROUP BY slot
    HAVING left > 0
)
