"""What waits to be published: the newest message of each topic, bounded."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Final

MOST_WAITING: Final = 50_000


@dataclass(frozen=True, slots=True)
class Message:
    """One message; an empty retained one deletes what the broker kept."""

    topic: str
    payload: bytes
    retain: bool


class Outbox:
    """From the thread that makes messages to the one that sends them. When full, the oldest goes and is counted."""

    def __init__(self, most: int = MOST_WAITING) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._waiting: dict[str, Message] = {}
        self.dropped = 0

    def put(self, message: Message) -> None:
        """Add a message in place of an older one of its topic."""
        with self._lock:
            self._waiting.pop(message.topic, None)
            if len(self._waiting) >= self._most:
                del self._waiting[next(iter(self._waiting))]
                self.dropped += 1
            self._waiting[message.topic] = message

    def take(self) -> Message | None:
        """Return the oldest message, or ``None``."""
        with self._lock:
            return self._waiting.pop(next(iter(self._waiting))) if self._waiting else None

    def clear(self) -> None:
        """Forget everything: a new connection begins with everything that is so now."""
        with self._lock:
            self._waiting.clear()

    def __len__(self) -> int:
        with self._lock:
            return len(self._waiting)
