"""The command line: every command talks to a running gateway through its API, or to files it is given."""
