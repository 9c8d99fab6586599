"""Tenants and layout as read from ``platform.tenants``. The writer belongs to ``ops``."""
