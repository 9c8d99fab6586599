"""What travels and where: payloads, headers, errors, tenants, topics. Values only; no I/O belongs here."""
