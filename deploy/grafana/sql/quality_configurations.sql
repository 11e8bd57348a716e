SELECT
    substring(hash, 1, 16) AS "Configuration",
    min(first_seen) AS "Since",
    any(version) AS "Detector",
    any(source) AS "By",
    any(JSONExtractFloat(body, 'budget', 'alerts_per_day')) AS "Budget a day",
    any(length(JSONExtractArrayRaw(body, 'mutes'))) AS "Mutes"
FROM config_versions
GROUP BY hash
ORDER BY "Since" DESC
LIMIT 50
