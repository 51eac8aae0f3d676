-- What a match request is answered from without asking Stash.
ALTER TABLE stash_scene ADD COLUMN title     TEXT NOT NULL DEFAULT '';
ALTER TABLE stash_scene ADD COLUMN title_key TEXT NOT NULL DEFAULT '';  -- for searching
ALTER TABLE stash_scene ADD COLUMN date      TEXT NOT NULL DEFAULT '';
ALTER TABLE stash_file  ADD COLUMN duration  REAL;                      -- seconds

-- The scene that an item's guid names, once Plex bound it to ours.
ALTER TABLE plex_item ADD COLUMN bound INTEGER;
CREATE INDEX plex_item_bound ON plex_item (bound) WHERE bound IS NOT NULL;

-- Scenes as last read, for when Stash is down.
CREATE TABLE scene_document (
    scene_id    INTEGER PRIMARY KEY REFERENCES stash_scene (id) ON DELETE CASCADE,
    pictured    INTEGER NOT NULL,               -- 1: with where all pictures are
    scene       BLOB    NOT NULL                -- JSON, compressed
) STRICT;

-- What Stash's pictures are, so that their URLs change only when they do.
CREATE TABLE picture (
    subject     TEXT PRIMARY KEY,               -- scene-7, performer-3, studio-1
    stamp       TEXT    NOT NULL,               -- its URL's version when we looked
    etag        TEXT    NOT NULL,
    digest      TEXT    NOT NULL,               -- SHA-1 of the bytes; '' for none
    seen_at     REAL    NOT NULL
) STRICT, WITHOUT ROWID;

-- Set for a file that Plex asked about and that has no item yet.
ALTER TABLE gap ADD COLUMN name TEXT;           -- file name, case-folded
ALTER TABLE gap ADD COLUMN places TEXT;         -- JSON: case-folded keys it may have
CREATE INDEX gap_name ON gap (name) WHERE name IS NOT NULL;
