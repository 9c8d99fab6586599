"""Everything that writes a record: requests, results, retries, inbox entries and dead letters, as values."""
