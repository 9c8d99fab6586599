"""Inspect and rewrite content: the pipeline, its guards and their text tools. Permissions do not belong here."""
