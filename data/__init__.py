"""Recordings on disk: writing, reading, and the windows that training sees."""
