-- Pictures that failed are gaps too; which kinds there are is the code's business.
CREATE TABLE gap_anew (
    kind        TEXT    NOT NULL,
    subject     TEXT    NOT NULL,               -- scene:7, item:42 or file:<path>
    path        TEXT    NOT NULL,
    detail      TEXT    NOT NULL,
    first_seen  REAL    NOT NULL,
    last_seen   REAL    NOT NULL,
    name        TEXT,                           -- file name, case-folded
    places      TEXT,                           -- JSON: case-folded keys it may have
    resolved_at REAL,                           -- NULL: it is open
    run_id      INTEGER,                        -- the comparison that saw it last
    PRIMARY KEY (kind, subject)
) STRICT, WITHOUT ROWID;
INSERT INTO gap_anew SELECT kind, subject, path, detail, first_seen, last_seen, name,
    places, resolved_at, run_id FROM gap;
DROP TABLE gap;
ALTER TABLE gap_anew RENAME TO gap;
CREATE INDEX gap_name ON gap (name) WHERE name IS NOT NULL;
CREATE INDEX open_gap ON gap (kind, first_seen) WHERE resolved_at IS NULL;
CREATE INDEX gap_subject ON gap (subject);
CREATE INDEX open_gap_path ON gap (path) WHERE resolved_at IS NULL;
-- What stands for a performer without a picture was taken for one.
DELETE FROM picture WHERE subject LIKE 'performer-%';
