"""The stages as the engine sees them: each turns a record into outputs and never raises."""
