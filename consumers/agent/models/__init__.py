"""The model port and its providers. Prompts, tools and budgets do not belong here."""
