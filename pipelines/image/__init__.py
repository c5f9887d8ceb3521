"""The image that a project's steps and its Beam workers run in: files for ``docker build``; nothing is built here."""
