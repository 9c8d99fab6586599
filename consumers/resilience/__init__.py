"""Protect a call: retry, timeout, deadline, cancel, suspect pool. The called code does not belong here."""
