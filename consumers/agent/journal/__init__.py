"""The journal of a run: its port, its steps, and its store in Valkey. What a step does is not decided here."""
