"""A report as PDF; the one file that imports WeasyPrint, and only when a report is made.

WeasyPrint draws with Pango, which comes from the system. Text that no font can draw would be empty boxes: WeasyPrint
says so while it draws, and then there is no PDF but an error that names the package.
"""

from __future__ import annotations

import logging
import unicodedata
import warnings
from typing import Any, Final

from analysis.report.model import Report
from api.reports.html import report_html

LIBRARIES: Final = "libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0"
FONTS: Final = "fonts-noto-cjk"
_SAMPLE: Final = "静水安居噪声昼夜限值达标 dB ≤ m³ · Quietwater"


class PdfImpossible(Exception):
    """This machine cannot make the PDF; the text names the Debian packages that are missing."""


def report_pdf(report: Report) -> bytes:
    """Render a report. Raises :class:`PdfImpossible` for missing libraries, and for text that no font has."""
    return html_pdf(report_html(report))


def html_pdf(page: str) -> bytes:
    """Render a page of ours. Nothing is fetched: what a page refers to outside of itself is left out."""
    weasyprint = _weasyprint()
    nothing = weasyprint.urls.URLFetcher(allowed_protocols=(), allow_redirects=False)
    with _Missing() as missing:
        pdf = weasyprint.HTML(string=page, url_fetcher=nothing).write_pdf()
    if not missing.letters:
        assert isinstance(pdf, bytes)
        return pdf
    if any(unicodedata.category(one)[0] in "LMNP" for one in missing.letters):
        told = "".join(sorted(missing.letters))[:20]
        raise PdfImpossible(
            f"no installed font has the characters {told!r}; on Debian: apt-get install {FONTS}, then make the "
            "report again"
        )
    # Signs such as emoji, which somebody wrote into a note, must not cost the report: they stand by their numbers.
    return html_pdf(page.translate({ord(one): f"[U+{ord(one):04X}]" for one in missing.letters}))


def check() -> None:
    """Render a line of Chinese. Raises :class:`PdfImpossible` where that cannot be done."""
    html_pdf(f'<html lang="zh-CN"><p style="font-family: Noto Sans CJK SC, sans-serif">{_SAMPLE}</p></html>')


def _weasyprint() -> Any:
    try:
        with warnings.catch_warnings():
            # Told once, at the import; without any font Pango would end the process a moment later.
            warnings.filterwarnings("error", message="No fonts configured")
            import weasyprint
    except UserWarning:
        raise PdfImpossible(f"no font is installed; on Debian: apt-get install {FONTS}") from None
    except OSError as error:
        raise PdfImpossible(
            f"PDF needs Pango, which is not installed ({str(error)[:120]}); on Debian: "
            f"apt-get install {LIBRARIES} {FONTS}; XLSX works without"
        ) from None
    return weasyprint


class _Missing(logging.Handler):
    """Hears what WeasyPrint says about characters without a glyph."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.letters: set[str] = set()

    def __enter__(self) -> _Missing:
        self._log = logging.getLogger("weasyprint")
        self._log.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._log.removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the character of a message about a glyph."""
        if record.msg.startswith(".notdef") and isinstance(record.args, tuple):
            self.letters.add(str(record.args[0]))
