"""Commands and processes: they read the settings and run the stages."""
