"""Recordings of other projects: one module a format, each a reader and a writer."""
