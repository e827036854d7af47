"""The command line. `__main__` has to be imported first: it patches what the rest imports."""
