-- What people said of alerts. Verdicts are operator actions, so that the chain of integrity covers them; what came of
-- each is in its details. The last one on an alert that counts, and was not taken back, is in force.
CREATE OR REPLACE VIEW verdicts AS
SELECT
    v.id AS id,
    substring(v.subject, 7) AS alert,
    v.time AS time,
    v.operator AS operator,
    JSONExtractString(v.details, 'verdict') AS verdict,
    v.reason AS reason,
    JSONExtractString(v.details, 'severity') AS severity,
    JSONExtract(v.details, 'detectors', 'Array(String)') AS detectors,
    JSONExtractBool(v.details, 'closed') AS closed,
    JSONExtractString(v.details, 'refused') AS refused,
    if(w.id = '', NULL, w.time) AS withdrawn_at,
    w.operator AS withdrawn_by,
    refused = '' AND withdrawn_at IS NULL AND row_number() OVER (
        PARTITION BY v.subject, refused = '' AND w.id = '' ORDER BY v.time DESC, v.id DESC
    ) = 1 AS in_force,
    v.details AS details
FROM (SELECT * FROM operator_actions_data FINAL WHERE action = 'verdict') AS v
LEFT JOIN
(
    SELECT JSONExtractString(details, 'undoes') AS undoes, *
    FROM operator_actions_data FINAL
    WHERE action = 'verdict_withdrawn' AND JSONExtractString(details, 'refused') = ''
    ORDER BY time
    LIMIT 1 BY undoes
) AS w ON w.undoes = v.id
COMMENT 'Every verdict on an alert: by whom, whether it counted (refused: why not), whether it was taken back, whether it is the one in force. `details` holds what followed from it.';

CREATE OR REPLACE VIEW detector_precision AS
SELECT
    detector,
    toMonday(time) AS week,
    countIf(verdict = 'true') AS confirmed,
    countIf(verdict = 'benign') AS benign,
    countIf(verdict = 'false') AS false_alarms,
    confirmed / count() AS precision
FROM verdicts
ARRAY JOIN detectors AS detector
WHERE in_force
GROUP BY detector, week
COMMENT 'By detector and week of the verdict (its Monday): the alerts that people judged, and the share of them that was confirmed.';
