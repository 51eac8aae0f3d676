-- Which scene it was that an item was delivered from: ids come again in another database
-- of Stash. As Stash writes times; '' where an earlier release delivered.
ALTER TABLE ledger ADD COLUMN scene_created_at TEXT NOT NULL DEFAULT '';
ALTER TABLE ledger ADD COLUMN scene_changed_at TEXT NOT NULL DEFAULT '';
UPDATE ledger SET scene_changed_at = scene_updated_at;
-- Since when Plex lacks the item, unix seconds; 0 as long as it has it.
ALTER TABLE ledger ADD COLUMN gone_at REAL NOT NULL DEFAULT 0;
CREATE INDEX ledger_file ON ledger (file);

-- When it changed last, as Stash writes it; updated_at is '' as long as that may stand
-- for a later change too.
ALTER TABLE polled_part ADD COLUMN changed_at TEXT NOT NULL DEFAULT '';

CREATE INDEX open_gap_path ON gap (path) WHERE resolved_at IS NULL;
