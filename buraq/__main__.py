"""`python -m buraq` is the command `buraq`."""

from buraq.cli.__main__ import main

if __name__ == "__main__":
    main()
