"""The command `buraq`: patches the standard library first, before anything imports redis."""

from gevent import monkey

monkey.patch_all()

from buraq.cli.root import buraq


def main() -> None:
    """Run the command line on this process's arguments, and exit."""
    buraq(prog_name="buraq")


if __name__ == "__main__":
    main()
