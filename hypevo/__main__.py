"""`python -m hypevo`: the same as the `hypevo` command."""

from hypevo.cli.app import main

if __name__ == "__main__":
    main()
