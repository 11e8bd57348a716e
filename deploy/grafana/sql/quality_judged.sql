SELECT
    detector AS "Detector",
    count() AS "Judged",
    countIf(verdict = 'true') AS "Confirmed",
    countIf(verdict = 'benign') AS "Benign",
    countIf(verdict = 'false') AS "False alarms",
    countIf(verdict = 'true') / count() AS "Precision"
FROM verdicts
ARRAY JOIN detectors AS detector
WHERE in_force AND $__timeFilter(time)
GROUP BY detector
ORDER BY "Judged" DESC, detector
