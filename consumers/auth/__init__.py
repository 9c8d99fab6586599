"""Establish a request's identity and check its permissions. Rates and order do not belong here."""
