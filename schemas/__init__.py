"""The values that travel: payloads, headers, errors, tenants, topics. Values only; no I/O belongs here."""
