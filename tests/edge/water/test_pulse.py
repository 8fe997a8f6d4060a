import threading
import time
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.water.pulse import Debounce, PulseCounter, PulsePins, request_register
from edge.water.register import LineError
from edge.water.settings_meters import PulseMeter

AT = datetime(2026, 5, 1, tzinfo=UTC)
METER = PulseMeter(name="tap", pin=17, pulse_ml=10_000, pulse_min_ms=10)


def counted(edges, least_ms=10, end_ms=10_000):
    debounce = Debounce(least_ms / 1000)
    total = sum(debounce.edge(active, at_ms / 1000) for active, at_ms in edges)
    return total + debounce.settle(end_ms / 1000)


def pulse(at_ms, length_ms=50):
    return [(True, at_ms), (False, at_ms + length_ms)]


@pytest.mark.parametrize(
    ("edges", "pulses"),
    [
        ([(False, 0)], 0),
        ([(False, 0), *pulse(100), *pulse(300)], 2),
        ([(False, 0), *pulse(100, 5)], 0),  # too short
        ([(False, 0), *pulse(100, 2), *pulse(104, 3), *pulse(110, 50)], 1),  # bounces as it closes
        ([(False, 0), *pulse(100, 50), *pulse(152, 2), *pulse(156, 3)], 1),  # bounces as it opens
        ([(False, 0), (True, 100), (False, 150), (True, 155), (False, 200)], 1),  # opens for 5 ms within
        ([(False, 0), (True, 100)], 1),  # the wheel stands on the contact
        ([(False, 0), (True, 100), (True, 150), (False, 160)], 1),  # an edge is told twice
        ([(True, 0), (False, 100)], 1),  # closed from the start
    ],
)
def test_debounce_by_pulse_length(edges, pulses):
    assert counted(edges) == pulses


@given(
    rests=st.lists(
        st.tuples(st.integers(11, 500), st.integers(11, 500), st.integers(0, 4), st.integers(0, 4)),
        max_size=40,
    ),
)
def test_every_clean_pulse_counts_once_whatever_bounces(rests):
    """Rests and pulses longer than the least, each edge with bounces of 1 ms."""
    edges, now = [(False, 0)], 1000
    for rest, length, closing, opening in rests:
        now += rest
        for _ in range(closing):
            edges += pulse(now, 1)
            now += 2
        edges.append((True, now))
        now += length
        for _ in range(opening):
            edges += [(False, now), (True, now + 1)]
            now += 2
        edges.append((False, now))
    assert counted(edges, end_ms=now + 1000) == len(rests)


def fill(counter, count, start_ms=1000.0):
    counter.edge(False, start_ms / 1000 - 1)
    for number in range(count):
        at = start_ms + number * 200
        counter.edge(True, at / 1000)
        counter.edge(False, (at + 100) / 1000)
    counter.edge(False, (start_ms + count * 200) / 1000)


def test_the_register_survives_a_power_cut(tmp_path):
    counter = PulseCounter(METER, tmp_path)
    fill(counter, 7)
    counter.save()
    fill(counter, 2, 9000)  # not saved: this much a power cut takes
    again = PulseCounter(METER, tmp_path)
    reading = again.read(AT)
    assert (reading.volume_steps, reading.step_ml) == (7, 10_000)
    assert not list(tmp_path.glob("*.new"))


def test_the_register_is_set_by_hand_once(tmp_path):
    counter = PulseCounter(METER, tmp_path)
    fill(counter, 3)
    request_register(tmp_path, "tap", 123_456_000)
    first = counter.read(AT)
    assert (first.volume_steps, first.flags) == (12_345, ("meter_replaced",))
    fill(counter, 2, 9000)
    second = counter.read(AT)
    assert (second.volume_steps, second.flags) == (12_347, ())
    assert PulseCounter(METER, tmp_path).read(AT).volume_steps == 12_345


class NoInputs:
    def __init__(self, counters):
        self.counters = counters
        self.closed = False

    def close(self):
        self.closed = True


def test_registers_are_saved_while_counting_and_at_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr("edge.water.pulse.SAVE_S", 0.01)
    counter = PulseCounter(METER, tmp_path)
    pins = PulsePins([(METER, counter)], NoInputs)
    pins.open()
    pins.open()
    fill(counter, 4)
    deadline = time.monotonic() + 90
    while PulseCounter(METER, tmp_path).read(AT).volume_steps != 4:
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)
    fill(counter, 1, 9000)
    pins.close()
    assert PulseCounter(METER, tmp_path).read(AT).volume_steps == 5


@pytest.fixture
def mock_pins():
    gpiozero = pytest.importorskip("gpiozero", reason="extra edge-gpio")
    from gpiozero.pins.mock import MockFactory

    before, gpiozero.Device.pin_factory = gpiozero.Device.pin_factory, MockFactory()
    yield gpiozero.Device.pin_factory
    gpiozero.Device.pin_factory.reset()
    gpiozero.Device.pin_factory = before


@pytest.mark.parametrize("pull", ["up", "down"])
def test_pulses_at_a_pin(tmp_path, mock_pins, pull):
    from edge.water.pulse_gpio import GpioInputs

    meter = msgspec.structs.replace(METER, pull=pull, pulse_min_ms=0)
    counter = PulseCounter(meter, tmp_path)
    pins = PulsePins([(meter, counter)], GpioInputs)
    pins.open()
    pin = mock_pins.pin(17)
    for _ in range(5):
        close, rest = (pin.drive_low, pin.drive_high) if pull == "up" else (pin.drive_high, pin.drive_low)
        rest()
        close()
        rest()
    pins.close()
    assert counter.read(AT).volume_steps == 5
    assert PulseCounter(meter, tmp_path).read(AT).volume_steps == 5


def test_a_pin_that_is_taken_is_a_line_error(tmp_path, mock_pins):
    gpiozero = pytest.importorskip("gpiozero")
    from edge.water.pulse_gpio import GpioInputs

    other = gpiozero.LED(17)
    with pytest.raises(LineError, match="GPIO cannot be used"):
        PulsePins([(METER, PulseCounter(METER, tmp_path))], GpioInputs).open()
    other.close()
