"""The detector of prompt injection: rules and a classifier. Provenance, which is the boundary, does not belong here."""
