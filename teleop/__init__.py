"""Recording of demonstrations: devices, the loop that all of them share, the command line."""
