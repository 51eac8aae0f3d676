-- When a server was away, the newest last; what the breaker is in is a fact.
CREATE TABLE outage (
    id          INTEGER PRIMARY KEY,
    service     TEXT    NOT NULL,
    started_at  REAL    NOT NULL,               -- unix seconds; the first failure
    ended_at    REAL,                           -- NULL: it goes on
    code        TEXT    NOT NULL,
    cause       TEXT    NOT NULL,
    jobs        INTEGER NOT NULL DEFAULT 0      -- that waited when it ended
) STRICT;
CREATE UNIQUE INDEX one_open_outage ON outage (service) WHERE ended_at IS NULL;

ALTER TABLE job ADD COLUMN first_failed_at REAL;
ALTER TABLE job ADD COLUMN outage_id INTEGER;   -- the outage a dead letter fell into

-- How often the daemon died while it ran, and while it ran and nothing else did.
ALTER TABLE job ADD COLUMN crashes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job ADD COLUMN alone_crashes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job ADD COLUMN alone INTEGER NOT NULL DEFAULT 0;  -- 1: claimed alone
CREATE INDEX suspect_job ON job (due_at) WHERE crashes >= 2;
