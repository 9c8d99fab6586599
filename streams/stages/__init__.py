"""The stages as the worker loop sees them: record in, outputs out, and never an exception."""
