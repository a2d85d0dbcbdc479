"""`python -m service` is `nnstream`."""

from service.cli import main

if __name__ == "__main__":
    main()
