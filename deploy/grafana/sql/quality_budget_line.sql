SELECT arrayJoin([$__fromTime, $__toTime]) AS time, JSONExtractFloat(body, 'budget', 'alerts_per_day') AS budget
FROM (SELECT body FROM config_versions ORDER BY first_seen DESC LIMIT 1)
ORDER BY time
