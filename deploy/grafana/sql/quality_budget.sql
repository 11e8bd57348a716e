SELECT JSONExtractFloat(body, 'budget', 'alerts_per_day') AS budget
FROM config_versions
ORDER BY first_seen DESC
LIMIT 1
