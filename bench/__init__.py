"""The figures of the README, measured: each module is a command that prints one of them."""
