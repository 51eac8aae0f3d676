-- Who asked about a file that nothing lists: so many of each are kept.
ALTER TABLE gap ADD COLUMN caller TEXT;
CREATE INDEX gap_caller ON gap (caller, last_seen) WHERE caller IS NOT NULL;
-- Scenes whose jobs ended while nothing might be written: they are due once it may.
CREATE TABLE undelivered (
    scene_id    INTEGER PRIMARY KEY
) STRICT;
