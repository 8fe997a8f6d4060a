"""The files with which two sides know one another over TLS; the same for every part that speaks with the broker."""

from __future__ import annotations

import ssl
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Paths of PEM files.

    ``ca_file`` is what we trust (``None``: the machine's authorities), ``cert_file`` and ``key_file`` what we show of
    ourselves (``None``: nothing).
    """

    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None

    def context(self) -> ssl.SSLContext:
        """Return what a connection to a server needs. Raises ``OSError`` for files that cannot be read or used."""
        context = ssl.create_default_context(cafile=self.ca_file)
        if self.cert_file is not None:
            context.load_cert_chain(self.cert_file, self.key_file)
        return context
