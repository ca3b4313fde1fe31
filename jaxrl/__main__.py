"""`python -m jaxrl` is the command `jaxrl`."""

import sys

from jaxrl.command_line import main

if __name__ == "__main__":
    sys.exit(main())
