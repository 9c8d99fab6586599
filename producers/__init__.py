"""Build the records that the platform writes, one module for each kind. Nothing is sent from here."""
