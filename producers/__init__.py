"""Builders of records as values: requests, results, hops, admission records, dead letters and others. No I/O."""
