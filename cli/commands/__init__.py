"""The subcommands of `deeplock`: a file of this folder is a command of its name, its docstring is its help."""
