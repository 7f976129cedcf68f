"""The command line: one file a command; what is heavy is imported where it is used."""
