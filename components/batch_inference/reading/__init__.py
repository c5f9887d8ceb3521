"""Files → blocks of rows, each format in a module of its own."""
