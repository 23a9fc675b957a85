"""The command `deeplock`: one thin file a subcommand."""
