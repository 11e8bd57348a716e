SELECT toDateTime(week) AS time, detector, precision
FROM detector_precision
WHERE time >= toStartOfWeek($__fromTime, 1) AND time <= $__toTime
ORDER BY time, detector
