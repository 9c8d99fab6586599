"""Payloads, headers, errors, tenants and the topics they travel on. Values only, no I/O."""
