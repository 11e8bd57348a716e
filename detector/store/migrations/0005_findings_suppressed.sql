-- Why a finding made no alert. The view is made anew, because it keeps the columns that it was made with.
ALTER TABLE findings_data ADD COLUMN IF NOT EXISTS
    suppressed LowCardinality(String) COMMENT 'What kept it from an alert: mute:... or approved:...; "" if nothing did';

CREATE OR REPLACE VIEW findings AS
SELECT * FROM findings_data FINAL
SETTINGS do_not_merge_across_partitions_select_final = 1
COMMENT 'Every finding, once. The columns are described in findings_data.';
