-- Between which moments of Plex's own clock we wrote to an item, in unix seconds; 0 where
-- it did not tell. A change dated otherwise is another's.
ALTER TABLE ledger ADD COLUMN written_from  INTEGER NOT NULL DEFAULT 0;
ALTER TABLE ledger ADD COLUMN written_until INTEGER NOT NULL DEFAULT 0;
-- Names the settings that it was written with; '' if that is not known.
ALTER TABLE ledger ADD COLUMN settings TEXT NOT NULL DEFAULT '';
