"""Driver ``wmbus``: meters that a radio receiver hears, by a running wmbusmeters or by plain telegrams."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import structlog

from contract.messages import WaterReading
from edge.water import wmbus_json, wmbus_telegram
from edge.water.heard import Message
from edge.water.mbus_compact import CompactFormats
from edge.water.mbus_decode import register_in
from edge.water.mbus_transport import Secrets
from edge.water.profiles import MbusProfile, load, mbus_compact_formats
from edge.water.register import FrameRefused, MeterError, Register
from edge.water.settings import WaterConfigError
from edge.water.settings_meters import ReceiverSettings, WmbusMeter

log = structlog.get_logger(__name__)

_TELEGRAM: Final = re.compile(r"(?:0x|\b|[|;,])((?:[0-9A-Fa-f]{2}_?){12,300})(?=\b|[|;,]|$)")
_LINE_MOST: Final = 2_000
_RESTART_MOST_S: Final = 60.0
_LOOK_S: Final = 1.0
_TIME_TOLERANCE: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a receiver."""

    text: str

    def done(self) -> None:
        """A radio telegram is not acknowledged."""


class WmbusDesk:
    """Makes readings of a receiver's lines."""

    def __init__(self, meters: Sequence[WmbusMeter]) -> None:
        """Read the keys and profiles. Raises ``WaterConfigError`` or ``ProfileError``."""
        self._meters = {one.id.lower(): one for one in meters}
        self.profiles = {one.name: load(one.profile, MbusProfile) for one in meters}
        self._secrets = {
            one.name: Secrets(read_key(one), CompactFormats(
                (*mbus_compact_formats(), *self.profiles[one.name].compact_formats)
            )) for one in meters
        }  # fmt: skip
        self._refused: dict[str, str] = {}

    def readings(self, message: Message, now: datetime) -> list[WaterReading]:
        """Return the reading in a line, or none where it is of another meter or is none."""
        assert isinstance(message, Line)
        found = wmbus_json.parse(message.text)
        if found is not None:
            return self._from_json(found, now)
        match = _TELEGRAM.search(message.text[:_LINE_MOST])
        return [] if match is None else self._from_telegram(bytes.fromhex(match[1].replace("_", "")), now)

    def _from_json(self, found: Mapping[str, object], now: datetime) -> list[WaterReading]:
        meter = self._meters.get(str(found.get("id", "")).lower())
        if meter is None:
            return []
        t = wmbus_json.time_of(found)
        at = t if t is not None and abs(t - now) <= _TIME_TOLERANCE else now
        return self._reading(meter, at, lambda: wmbus_json.register_of(found))

    def _from_telegram(self, raw: bytes, now: datetime) -> list[WaterReading]:
        with suppress(FrameRefused):
            raw = wmbus_telegram.without_crcs(raw)
            known = (self._meters.get(one) for one in wmbus_telegram.ids_of(raw))
            meter = next((one for one in known if one is not None), None)
            if meter is not None:
                return self._reading(meter, now, lambda: self._register(raw, meter))
        return []

    def _register(self, telegram: bytes, meter: WmbusMeter) -> Register:
        secrets = self._secrets[meter.name]
        message = wmbus_telegram.message_of(telegram, secrets)
        secrets.formats.learn(message.payload)
        return register_in(message, self.profiles[meter.name])

    def _reading(self, meter: WmbusMeter, at: datetime, decode: Callable[[], Register]) -> list[WaterReading]:
        try:
            reading = decode().reading(meter.name, at)
        except MeterError as error:
            if self._refused.get(meter.name) != str(error):
                log.warning("telegram refused", meter=meter.name, reason=str(error))
            self._refused[meter.name] = str(error)
            return []
        self._refused.pop(meter.name, None)
        return [reading]


def read_key(meter: WmbusMeter) -> bytes | None:
    """Read a meter's key. Raises ``WaterConfigError``."""
    if meter.key_file is None:
        return None
    try:
        key = bytes.fromhex(Path(meter.key_file).read_text().strip())
    except (OSError, ValueError) as error:
        raise WaterConfigError(f"meters: {meter.name!r}: key_file cannot be read: {error}") from error
    if len(key) != 16:
        raise WaterConfigError(f"meters: {meter.name!r}: key_file holds {len(key)} bytes; a key has 16")
    return key


class Receiver:
    """Hands on the lines of a command that it keeps running, or of the files that wmbusmeters keeps."""

    def __init__(self, settings: ReceiverSettings) -> None:
        self._settings = settings

    def receive(self, stop: threading.Event, put: Callable[[Message], bool]) -> None:
        """Put lines until ``stop`` is set."""
        if self._settings.command:
            self._run_command(self._settings.command, stop, put)
        else:
            self._watch_folder(Path(str(self._settings.folder)), stop, put)

    def _run_command(
        self, command: tuple[str, ...], stop: threading.Event, put: Callable[[Message], bool]
    ) -> None:
        wait_s = 1.0
        while not stop.is_set():
            started = time.monotonic()
            cause = self._once(command, stop, put)
            if stop.is_set():
                return
            wait_s = 1.0 if time.monotonic() - started > _RESTART_MOST_S else min(_RESTART_MOST_S, wait_s * 2)
            name = self._settings.name
            log.warning("receiver ended and is started again", receiver=name, cause=cause, after_s=wait_s)
            stop.wait(wait_s)

    def _once(self, command: tuple[str, ...], stop: threading.Event, put: Callable[[Message], bool]) -> str:
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                encoding="utf-8", errors="replace",
            )  # fmt: skip
        except OSError as error:
            return str(error)
        watcher = threading.Thread(target=_end_on, args=(process, stop), daemon=True)
        watcher.start()
        assert process.stdout is not None
        with process.stdout as lines:
            for text in lines:
                self._put(text, put)
        return f"exit code {process.wait()}"

    def _watch_folder(self, folder: Path, stop: threading.Event, put: Callable[[Message], bool]) -> None:
        seen: dict[Path, tuple[int, int]] = {}
        fault: str | None = None
        while not stop.is_set():
            try:
                for path in sorted(folder.iterdir()):
                    self._look_at(path, seen, put)
                fault = None
            except OSError as error:
                if fault is None:
                    name, fault = self._settings.name, str(error)
                    log.warning("folder of wmbusmeters cannot be read", receiver=name, cause=fault)
            stop.wait(_LOOK_S)

    def _look_at(self, path: Path, seen: dict[Path, tuple[int, int]], put: Callable[[Message], bool]) -> None:
        """Put the newest line of a file that has changed; a file that goes away meanwhile is none."""
        with suppress(FileNotFoundError):
            stat = path.stat()
            mark = (stat.st_mtime_ns, stat.st_size)
            if path.is_file() and seen.get(path) != mark:
                seen[path] = mark
                lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
                self._put(lines[-1] if lines else "", put)

    def _put(self, text: str, put: Callable[[Message], bool]) -> None:
        if text.strip() and not put(Line(text)):
            log.warning("lines come faster than they are read; one is left out", receiver=self._settings.name)


def _end_on(process: subprocess.Popen[str], stop: threading.Event) -> None:
    """End a process once ``stop`` is set."""
    while process.poll() is None:
        if stop.wait(_LOOK_S / 4):
            process.terminate()
            try:
                process.wait(timeout=2.0)
            except subprocess.TimeoutExpired:
                process.kill()
            return
