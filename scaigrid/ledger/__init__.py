"""The ledger: every finished request journalled before its answer ends, then written to the database exactly once."""
