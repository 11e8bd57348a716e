SELECT
    time AS "Time",
    permission_change AS "Change",
    target_uri AS "On",
    principal AS "By",
    permission_grantee AS "To",
    permission_audience AS "Audience",
    permission_privilege AS "Privilege",
    permission_requested AS "Asked for",
    permission_expires_at AS "Ends",
    approval_by AS "Approved by",
    outcome AS "Outcome"
FROM events_without_contents
WHERE decodeURLComponent('${principal:percentencode}') IN (principal, permission_grantee)
    AND permission_change != '' AND $__timeFilter(time) AND verdict != 'duplicate'
ORDER BY time DESC
LIMIT 100
