"""Benchmarks: one product and one reference, measured in turn. Fault injection does not belong here."""
