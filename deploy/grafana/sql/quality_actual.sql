-- An alert is the budget's when nothing but tail probabilities stands behind it. Whether it is a false one only people
-- can say: the budget is for the false among them.
SELECT countIf(statistical) / greatest(1, ($__toTime - $__fromTime) / 86400) AS "a day"
FROM
(
    SELECT a.id AS id, any(a.detected_at) AS raised, min(f.p_value IS NOT NULL) AS statistical
    FROM
    (
        SELECT id, detected_at, arrayJoin(finding_ids) AS finding
        FROM alerts_current
        WHERE $__timeFilter(detected_at)
    ) AS a
    INNER JOIN (SELECT id, p_value FROM findings WHERE time <= $__toTime) AS f ON f.id = a.finding
    GROUP BY a.id
)
