"""Run an agent: its definition, its executor, its models. Guards and retry policies do not belong here."""
