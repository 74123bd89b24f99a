"""One module a command, each with `main(argv) -> int`; only the chosen one is imported."""
