"""One module a command, each with `main(argv) -> int`; only the chosen one is imported.

Commands join the outer folders, which know nothing of one another. What a command needs beside its
options stands in a module of its own: `train_log`, `report`, `options`.
"""
