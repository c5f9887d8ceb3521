"""From a pipeline file to a finished run: config, registry, wiring, checks, build, runners and the command line."""
