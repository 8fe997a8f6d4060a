"""``python -m contract docs``: write the published schemas and the AsyncAPI description into a folder."""

from __future__ import annotations

import sys
from pathlib import Path

from contract.asyncapi import asyncapi_yaml
from contract.schema import schema_files


def main(folder: Path) -> None:
    """Write ``schema/*.schema.json`` and ``asyncapi.yaml`` below ``folder``."""
    (folder / "schema").mkdir(parents=True, exist_ok=True)
    for name, text in schema_files().items():
        (folder / "schema" / name).write_text(text)
    (folder / "asyncapi.yaml").write_text(asyncapi_yaml())


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m contract FOLDER   (FOLDER is docs)")
    main(Path(sys.argv[1]))
