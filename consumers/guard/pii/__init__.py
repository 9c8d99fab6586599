"""The detector of personal data, and its placeholders. Credentials do not belong here."""
