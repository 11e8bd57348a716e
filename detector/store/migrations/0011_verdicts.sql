-- What people said of alerts. Verdicts are operator actions, so that the chain of integrity covers them; what came of
-- each is in its details. In force is one that counts, was not taken back, and was not replaced by a later one on the
-- alert.
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
    if(l.action = 'verdict_withdrawn', l.time, NULL) AS withdrawn_at,
    if(l.action = 'verdict_withdrawn', l.operator, '') AS withdrawn_by,
    if(l.action = 'verdict', l.id, '') AS replaced_by,
    refused = '' AND l.id = '' AS in_force,
    v.details AS details
FROM (SELECT * FROM operator_actions_data FINAL WHERE action = 'verdict') AS v
LEFT JOIN
(
    SELECT arrayJoin(JSONExtract(details, 'replaces', 'Array(String)')) AS replaced, id, time, operator, action
    FROM operator_actions_data FINAL
    WHERE action IN ('verdict', 'verdict_withdrawn') AND JSONExtractString(details, 'refused') = ''
    ORDER BY time
    LIMIT 1 BY replaced
) AS l ON l.replaced = v.id
COMMENT 'Every verdict on an alert: by whom, whether it counted (refused: why not), whether it was taken back or replaced, whether it is in force. `details` holds what followed from it.';

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
