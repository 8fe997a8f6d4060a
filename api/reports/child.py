"""Renders one report in a process of its own: ``python -m api.reports.child FORMAT FILE``, the tree on standard input.

A process can be stopped when it takes too long, gives its memory back, and leaves the server's event loop alone.
``python -m api.reports.child check`` only says whether this machine can make PDFs.
"""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path
from typing import Final

from analysis.report.model import Report, decode

PDF_IMPOSSIBLE: Final = 3
"""Exit code where the machine lacks something; standard error says what."""
FORMATS: Final = ("pdf", "xlsx")
_MOST_CPU_S: Final = 360
"""More than the server waits: a child whose server was killed ends by itself."""


def render(report: Report, form: str) -> bytes:
    """Render a report. Raises ``PdfImpossible``."""
    if form == "xlsx":
        from api.reports.xlsx import report_xlsx

        return report_xlsx(report)
    from api.reports.pdf import report_pdf

    return report_pdf(report)


def main(arguments: list[str]) -> int:
    """Run; return the exit code."""
    from api.reports.pdf import PdfImpossible, check

    os.nice(10)
    resource.setrlimit(resource.RLIMIT_CPU, (_MOST_CPU_S, _MOST_CPU_S))
    try:
        if arguments == ["check"]:
            check()
            return 0
        form, target = arguments
        body = render(decode(sys.stdin.buffer.read()), form)
    except PdfImpossible as error:
        sys.stderr.write(str(error))
        return PDF_IMPOSSIBLE
    path = Path(target)
    part = path.with_suffix(".part")
    part.write_bytes(body)
    part.replace(path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
