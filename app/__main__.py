"""``python -m app``: the ``quietwater`` command."""

from app.cli import main

main()
