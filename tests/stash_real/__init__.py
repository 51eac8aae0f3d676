"""What wants a real Stash: ``make test-stash`` with its binary in ``STASH_BIN``."""
