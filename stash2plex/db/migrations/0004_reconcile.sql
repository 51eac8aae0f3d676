-- What a poll knows of a scene: its updated_at when it was last enqueued over it.
ALTER TABLE stash_scene ADD COLUMN polled   TEXT NOT NULL DEFAULT '';
-- Set while it does not take part: its updated_at then, and what settings said so.
ALTER TABLE stash_scene ADD COLUMN kept_out TEXT NOT NULL DEFAULT '';

-- The performers, studios, tags and groups that scenes were last read with: when one is
-- deleted, Stash does not know any more whose it was.
CREATE TABLE scene_part (
    scene_id    INTEGER NOT NULL REFERENCES stash_scene (id) ON DELETE CASCADE,
    kind        TEXT    NOT NULL CHECK (kind IN ('performer', 'studio', 'tag', 'group')),
    part_id     INTEGER NOT NULL,
    PRIMARY KEY (scene_id, kind, part_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX scene_part_whose ON scene_part (kind, part_id);

-- The same for those themselves.
CREATE TABLE polled_part (
    kind        TEXT    NOT NULL,
    id          INTEGER NOT NULL,
    updated_at  TEXT    NOT NULL,
    PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;

-- What a listing shows of an item: whether it is more than a file, and its text.
ALTER TABLE plex_item ADD COLUMN bare  INTEGER NOT NULL DEFAULT 0;
ALTER TABLE plex_item ADD COLUMN shown TEXT    NOT NULL DEFAULT '';
-- The item's updated_at when it was last found as we left it.
ALTER TABLE ledger ADD COLUMN checked INTEGER NOT NULL DEFAULT 0;

ALTER TABLE gap ADD COLUMN resolved_at REAL;    -- NULL: it is open
ALTER TABLE gap ADD COLUMN run_id INTEGER;      -- the comparison that saw it last
CREATE INDEX open_gap ON gap (kind, first_seen) WHERE resolved_at IS NULL;
CREATE INDEX gap_subject ON gap (subject);

-- Comparisons of both libraries, the newest last.
CREATE TABLE run (
    id          INTEGER PRIMARY KEY,
    scope       TEXT    NOT NULL,
    dry_run     INTEGER NOT NULL,
    force       INTEGER NOT NULL,
    only_empty  INTEGER NOT NULL,
    starts      INTEGER NOT NULL DEFAULT 0,     -- how often it was begun
    reason      TEXT    NOT NULL,               -- manual, schedule, start
    state       TEXT    NOT NULL
                CHECK (state IN ('running', 'done', 'stopped', 'failed')),
    started_at  REAL    NOT NULL,
    finished_at REAL,
    scenes      INTEGER NOT NULL DEFAULT 0,
    items       INTEGER NOT NULL DEFAULT 0,
    enqueued    INTEGER NOT NULL DEFAULT 0,
    gaps        TEXT    NOT NULL DEFAULT '{}',  -- JSON: kind -> how many
    error       TEXT
) STRICT;
