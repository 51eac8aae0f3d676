-- What names all that was delivered of a scene: its time does not tell of an import.
ALTER TABLE ledger ADD COLUMN scene_digest TEXT NOT NULL DEFAULT '';
