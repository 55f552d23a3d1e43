"""`python -m hypevo`: the same as the `hypevo` command."""

import os
import sys

if sys.path[:1] in ([""], [os.getcwd()]):  # noqa: PTH109 - nothing more may be imported yet
    del sys.path[0]  # the folder where the command is typed may hold a yaml.py, which must not be run

from hypevo.cli.app import main

if __name__ == "__main__":
    main()
