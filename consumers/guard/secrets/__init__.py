"""Find secrets by their published formats, and remove them. Personal data does not belong here."""
