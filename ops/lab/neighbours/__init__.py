"""Measure one tenant's waits beside another tenant's disturbance. Faults of the platform do not belong here."""
