-- Facts about this store: client identifier, the Plex server it belongs to, ...
CREATE TABLE fact (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

-- Work to do. A row names something in Stash and carries none of its data.
CREATE TABLE job (
    id          INTEGER PRIMARY KEY,
    kind        TEXT    NOT NULL
                CHECK (kind IN ('scene', 'performer', 'studio', 'tag', 'group')),
    stash_id    INTEGER NOT NULL,
    reason      TEXT    NOT NULL
                CHECK (reason IN ('manual', 'hook', 'expanded', 'reconcile')),
    priority    INTEGER NOT NULL,
    state       TEXT    NOT NULL DEFAULT 'queued'
                CHECK (state IN ('queued', 'running', 'dead')),
    attempts    INTEGER NOT NULL DEFAULT 0,     -- failures that count
    lookups     INTEGER NOT NULL DEFAULT 0,     -- times Plex did not have it
    held        INTEGER NOT NULL DEFAULT 0,     -- 1: waits for a server to be back
    due_at      REAL    NOT NULL,               -- unix seconds
    created_at  REAL    NOT NULL,
    requests    INTEGER NOT NULL DEFAULT 1,     -- how many asked for it
    error_code  TEXT,                           -- of the last failure
    error       TEXT,
    failed_at   REAL
) STRICT;

CREATE UNIQUE INDEX one_queued_job  ON job (kind, stash_id) WHERE state = 'queued';
CREATE UNIQUE INDEX one_running_job ON job (kind, stash_id) WHERE state = 'running';
CREATE UNIQUE INDEX one_dead_job    ON job (kind, stash_id) WHERE state = 'dead';
CREATE INDEX next_job ON job (priority DESC, due_at, id) WHERE state = 'queued';

-- What is looked at again is no dead letter any more.
CREATE TRIGGER revive AFTER INSERT ON job WHEN new.state = 'queued' BEGIN
    DELETE FROM job
    WHERE state = 'dead' AND kind = new.kind AND stash_id = new.stash_id;
END;

CREATE INDEX due_job ON job (due_at) WHERE state = 'queued';

-- The catalogue: what both libraries hold. A key is what every spelling of one path
-- of Plex has in common; the join of the two key columns is the match by path.
CREATE TABLE stash_scene (
    id          INTEGER PRIMARY KEY,
    updated_at  TEXT    NOT NULL,
    seen        INTEGER NOT NULL                -- the listing that saw it last
) STRICT;

CREATE TABLE stash_file (
    scene_id    INTEGER NOT NULL REFERENCES stash_scene (id) ON DELETE CASCADE,
    path        TEXT    NOT NULL,
    key         TEXT,                           -- NULL: no path rule maps it
    name        TEXT    NOT NULL,               -- file name, case-folded
    size        INTEGER,
    PRIMARY KEY (scene_id, path)
) STRICT, WITHOUT ROWID;
CREATE INDEX stash_file_key  ON stash_file (key);
CREATE INDEX stash_file_name ON stash_file (name);

CREATE TABLE plex_item (
    rating_key  INTEGER PRIMARY KEY,
    section_id  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,               -- unix seconds, Plex's clock
    seen        INTEGER NOT NULL
) STRICT;
CREATE INDEX plex_item_section ON plex_item (section_id, seen);

CREATE TABLE plex_file (
    rating_key  INTEGER NOT NULL REFERENCES plex_item (rating_key) ON DELETE CASCADE,
    path        TEXT    NOT NULL,
    key         TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    size        INTEGER,
    PRIMARY KEY (rating_key, path)
) STRICT, WITHOUT ROWID;
CREATE INDEX plex_file_key  ON plex_file (key);
CREATE INDEX plex_file_name ON plex_file (name);

-- What we last wrote to Plex. Rating keys are stable only within one database of
-- one server, so a row also names the server and the file.
CREATE TABLE ledger (
    machine     TEXT    NOT NULL,
    rating_key  INTEGER NOT NULL,
    file        TEXT    NOT NULL,
    scene_id    INTEGER NOT NULL,
    wrote       TEXT    NOT NULL,               -- JSON: Plex's field -> value
    locked      TEXT    NOT NULL,               -- JSON: fields whose lock is ours
    pictures    TEXT    NOT NULL,               -- JSON: thumb, art -> what we uploaded
    scene_updated_at TEXT NOT NULL,
    confidence  TEXT    NOT NULL CHECK (confidence IN ('high', 'low')),
    delivered_at REAL   NOT NULL,
    PRIMARY KEY (machine, rating_key, file)
) STRICT, WITHOUT ROWID;
CREATE INDEX ledger_scene ON ledger (scene_id);

-- What cannot be in step, and why.
CREATE TABLE gap (
    kind        TEXT    NOT NULL CHECK (kind IN ('empty', 'stale', 'drift',
                'missing_in_plex', 'missing_in_stash', 'unmapped', 'ambiguous')),
    subject     TEXT    NOT NULL,               -- scene:7 or item:42
    path        TEXT    NOT NULL,
    detail      TEXT    NOT NULL,
    first_seen  REAL    NOT NULL,
    last_seen   REAL    NOT NULL,
    PRIMARY KEY (kind, subject)
) STRICT, WITHOUT ROWID;
