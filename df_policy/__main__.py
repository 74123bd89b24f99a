"""`python -m df_policy`."""

import sys

from df_policy.cli import main

if __name__ == "__main__":
    sys.exit(main())
