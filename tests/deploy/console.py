"""The commands of a page of documentation, as somebody who follows it types them."""

from __future__ import annotations

import re
from pathlib import Path


def commands(page: Path, language: str = "sh") -> list[str]:
    """Return every line of the page's shell blocks; what goes on after a backslash is one line."""
    text = page.read_text()
    blocks = re.findall(rf"^([ ]*)```{language}\n(.*?)^\1```", text, re.MULTILINE | re.DOTALL)
    lines = [line.strip() for _, block in blocks for line in re.sub(r"\\\n\s*", "", block).splitlines()]
    return [line for line in lines if line and not line.startswith("#")]
