"""The detector of credentials: tokens, keys and passwords. Personal data does not belong here."""
