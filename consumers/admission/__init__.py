"""Admission of a tenant's requests: order, duplicates, concurrency, rates. Identity and policy do not belong here."""
