"""The `hypevo` command: options, what the terminal shows, the two web pages."""
