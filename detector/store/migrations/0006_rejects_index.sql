-- A message of several records may be refused in part: each refused record is a row of its own, told apart by its
-- place in the message. A column can only join the key in the statement that adds it. The view is made anew,
-- because it keeps the columns that it was made with.
ALTER TABLE rejects_data ADD COLUMN IF NOT EXISTS
    `index` UInt32 COMMENT 'Place within a message that held several records; 0 for one that was refused whole' AFTER `offset`,
    MODIFY ORDER BY (topic, partition, `offset`, reason, detail, `index`);

CREATE OR REPLACE VIEW rejects AS
SELECT * FROM rejects_data FINAL
COMMENT 'Everything that was refused, once. The columns are described in rejects_data.';
