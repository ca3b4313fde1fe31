"""Train an agent: `python scripts/train.py ALGORITHM ENVIRONMENT [OPTIONS]`, the same as `jaxrl train`."""

import sys

from jaxrl.command_line import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
