"""The stages: turn one record into outputs, and never raise. Polling and committing do not belong here."""
