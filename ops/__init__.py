"""Settings in, processes out: the command line, the stages as processes, provisioning. No record is handled here."""
