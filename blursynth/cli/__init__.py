"""The command line, click only: each command parses, calls one library function, prints."""
