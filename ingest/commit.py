"""Write to the series store so that one reading which it cannot digest never takes its neighbours along."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import structlog

from store.series.interface import Entry, SeriesStore, StoreUnavailable

log = structlog.get_logger(__name__)

_GIVE_UP_AFTER: Final = 8
"""So many single readings in a row that all fail: it is the store, not they."""


class EveryReadingFails(StoreUnavailable):
    """The store raised what no store should on every reading: it is broken, or the only reading is to blame."""


def write_or_isolate(series: SeriesStore, entries: Sequence[Entry]) -> dict[int, tuple[str, str]]:
    """Commit entries; return (code, reason) by index of those that will never be stored.

    Raises ``StoreUnavailable`` when something was not committed and may be tried again. An exception that no store
    should raise is looked into: the batch is halved until the readings that cause it are found. If every reading
    causes it, the store itself is at fault, and that is ``StoreUnavailable``.
    """
    try:
        return _write(series, entries, 0)
    except StoreUnavailable:
        raise
    except Exception as error:
        first = f"{type(error).__name__}: {error}"
        log.exception(
            "the store failed on a batch; looking for the reading that causes it", readings=len(entries)
        )
    search = _Search(series)
    search.halve(entries, 0)
    if not search.stored:
        raise EveryReadingFails(f"the store fails on every reading: {search.last_error or first}")
    return search.refused


def _write(series: SeriesStore, entries: Sequence[Entry], offset: int) -> dict[int, tuple[str, str]]:
    report = series.write(entries)
    if report.retry:
        raise StoreUnavailable(f"{len(report.retry)} readings were not committed: {report.retry[0][1]}")
    return {offset + index: ("refused_by_store", reason) for index, reason in report.rejected}


class _Search:
    def __init__(self, series: SeriesStore) -> None:
        self._series = series
        self._failed_in_a_row = 0
        self.stored = 0
        self.last_error = ""
        self.refused: dict[int, tuple[str, str]] = {}

    def halve(self, entries: Sequence[Entry], offset: int) -> None:
        if len(entries) > 1:
            middle = len(entries) // 2
            self._try(entries[:middle], offset)
            self._try(entries[middle:], offset + middle)

    def _try(self, entries: Sequence[Entry], offset: int) -> None:
        try:
            refused = _write(self._series, entries, offset)
        except StoreUnavailable:
            raise
        except Exception as error:
            self.last_error = f"{type(error).__name__}: {error}"
            if len(entries) > 1:
                self.halve(entries, offset)
                return
            self._failed_in_a_row += 1
            if self._failed_in_a_row >= _GIVE_UP_AFTER and not self.stored:
                raise EveryReadingFails(f"the store fails on every reading: {self.last_error}") from error
            self.refused[offset] = ("internal_error", self.last_error)
        else:
            self._failed_in_a_row = 0
            self.stored += len(entries)
            self.refused.update(refused)
