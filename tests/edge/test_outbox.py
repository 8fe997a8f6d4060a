import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.codec import decode_reading
from edge import outbox_file
from edge.outbox import Outbox, OutboxClosed, OutboxInUse
from tests.edge.made import NOW, event, minute, second, water

ALL = 1 << 53
LATER = NOW + timedelta(minutes=10)
PROJECT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "box" / "device.outbox.sqlite"


def seqs_in(outbox: Outbox) -> list[int]:
    return sorted(entry.seq for entry in outbox.older_than(ALL, 1_000_000))


def events_in(outbox: Outbox, kind: str) -> list[dict]:
    found = []
    for entry in outbox.older_than(ALL, 1_000_000):
        if entry.kind == "event":
            one = decode_reading("event", entry.payload)
            if one.kind == kind:
                found.append(one.detail)
    return found[::-1]


# -- numbers and durability ------------------------------------------------------------------------------------------


def test_a_clean_end_and_start_go_on_with_the_very_next_number_and_all_that_waits(path):
    first = Outbox(path, now=NOW)
    seqs = [first.append(second(n)) for n in range(5)]
    first.commit(NOW)
    seqs.append(first.append(water()))
    first.close()
    again = Outbox(path, now=NOW + timedelta(hours=1))
    assert seqs_in(again) == seqs
    assert again.append(second(9)) == seqs[-1] + 1
    again.close()


def test_what_is_read_back_is_what_was_appended_with_its_number(path):
    outbox = Outbox(path, now=NOW)
    for reading in (second(3), minute(), water(), event()):
        seq = outbox.append(reading)
        outbox.commit(NOW)
        (entry, *_) = outbox.older_than(ALL, 1)
        assert decode_reading(entry.kind, entry.payload) == msgspec.structs.replace(reading, seq=seq)
        assert entry.t_ms == int(reading.t.timestamp() * 1000)
    outbox.close()


@pytest.mark.parametrize("kill_after", [1, 7, 40])
def test_kill_9_loses_nothing_that_was_committed_and_repeats_no_number(path, kill_after):
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.edge.outbox_child", str(path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=PROJECT,
    )
    kept, used = [], 0
    for line in child.stdout:
        word, *numbers = line.split()
        if word == "kept":
            kept.append(range(int(numbers[0]), int(numbers[1]) + 1))
        else:
            used = int(numbers[0])
        if len(kept) == kill_after:
            child.send_signal(signal.SIGKILL)
    child.wait()
    outbox = Outbox(path, now=NOW)
    assert {seq for part in kept for seq in part} <= set(seqs_in(outbox))
    assert outbox.next_seq > used
    assert events_in(outbox, "outbox_replaced") == []
    outbox.close()


def test_after_a_crash_numbers_start_above_all_that_may_have_been_sent_even_with_the_clock_set_back(path):
    crashed = Outbox(path, now=NOW)
    used = [crashed.append(second(n)) for n in range(15_000)]
    crashed.commit(NOW)
    used += [crashed.append(second(n)) for n in range(100)]
    crashed._file._db.close()
    crashed._file._lock_file.close()
    again = Outbox(path, now=NOW - timedelta(days=365))
    assert again.next_seq > used[-1]
    again.close()


def test_a_new_card_in_an_old_device_gives_out_no_number_of_the_old_card(path):
    old = Outbox(path, now=NOW)
    used = [old.append(second(n)) for n in range(2_000)]
    old.close()
    path.unlink()
    new = Outbox(path, now=NOW + timedelta(seconds=3))
    assert new.append(second()) > used[-1]
    new.close()


def test_two_processes_never_share_an_outbox(path):
    holder = Outbox(path, now=NOW)
    with pytest.raises(OutboxInUse, match=rf"process {os.getpid()} already uses the outbox"):
        Outbox(path, now=NOW)
    holder.close()
    Outbox(path, now=NOW).close()


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        Outbox(tmp_path / "file" / "x.sqlite", now=NOW)


def test_a_closed_outbox_takes_nothing(path):
    outbox = Outbox(path, now=NOW)
    outbox.close()
    with pytest.raises(OutboxClosed):
        outbox.append(second())


def test_no_two_events_share_a_time_and_the_order_is_kept(path):
    outbox = Outbox(path, now=NOW)
    for kind in ("restart", "tamper", "gap"):
        outbox.append(event(0, kind))
    read = [decode_reading("event", e.payload) for e in outbox.older_than(ALL, 10)][::-1]
    assert [one.kind for one in read] == ["restart", "tamper", "gap"]
    assert [(one.t - NOW) / timedelta(milliseconds=1) for one in read] == [0, 1, 2]
    outbox.close()


# -- confirming ------------------------------------------------------------------------------------------------------


def test_a_reading_confirmed_before_the_commit_never_touches_the_disk(path):
    outbox = Outbox(path, now=NOW)
    seq = outbox.append(second())
    assert outbox.confirm([(seq, seq)]) == 1
    outbox.commit(NOW)
    assert outbox.depth() == 0
    outbox.close()
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT count(*) FROM entries").fetchone() == (0,)


def test_confirmed_counts_each_reading_once_and_a_foreign_range_costs_nothing(path):
    outbox = Outbox(path, now=NOW)
    seqs = [outbox.append(second(n)) for n in range(10)]
    outbox.commit(NOW)
    assert outbox.confirm([(seqs[2], seqs[4])]) == 3
    assert outbox.confirm([(seqs[2], seqs[5])]) == 1
    assert outbox.confirm([(0, 5), (ALL - 1, ALL)]) == 0
    assert outbox.depth() == 6
    assert seqs_in(outbox) == seqs[:2] + seqs[6:]
    outbox.commit(NOW)
    assert (outbox.depth(), seqs_in(outbox)) == (6, seqs[:2] + seqs[6:])
    assert outbox.refuse([(0, ALL)]) == 6
    assert outbox.refused_total == 6
    assert outbox.depth() == 0
    outbox.close()


def test_a_confirmed_reading_is_not_taken_as_live(path):
    outbox = Outbox(path, now=NOW)
    seqs = [outbox.append(second(n)) for n in range(3)]
    outbox.confirm([(seqs[1], seqs[1])])
    assert [entry.seq for entry in outbox.take_live()] == [seqs[0], seqs[2]]
    assert outbox.take_live() == []
    assert not outbox.wait(0)
    outbox.append(second(4))
    assert outbox.wait(0)
    outbox.close()


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 30)),
        st.tuples(st.just("confirm"), st.tuples(st.integers(0, 200), st.integers(0, 40))),
        st.tuples(st.just("commit"), st.none()),
        st.tuples(st.just("reopen"), st.none()),
        st.tuples(st.just("crash"), st.none()),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(ACTIONS)
def test_the_outbox_holds_what_a_simple_model_of_it_holds(tmp_path_factory, actions):
    path = tmp_path_factory.mktemp("model") / "o.sqlite"
    outbox = Outbox(path, now=NOW)
    waiting: set[int] = set()
    durable: set[int] = set()
    order: list[int] = []
    for action, value in actions:
        if action == "append":
            new = [outbox.append(second(n)) for n in range(value)]
            assert not order or new[0] > order[-1]
            order += new
            waiting |= set(new)
        elif action == "confirm" and order:
            first = order[0] + value[0]
            ranges = [(first, first + value[1])]
            hit = {seq for seq in waiting if ranges[0][0] <= seq <= ranges[0][1]}
            assert outbox.confirm(ranges) == len(hit)
            waiting -= hit
        elif action == "commit":
            assert outbox.commit(NOW) == []
            durable = set(waiting)
        elif action in ("reopen", "crash"):
            if action == "reopen":
                outbox.close()
                durable = set(waiting)
            else:
                outbox._file._db.close()
                outbox._file._lock_file.close()
            waiting = set(durable)
            outbox = Outbox(path, now=NOW)
        assert seqs_in(outbox) == sorted(waiting)
        assert outbox.depth() == len(waiting)
    outbox.close()


def test_the_backlog_comes_newest_first_across_disk_and_memory(path):
    outbox = Outbox(path, now=NOW)
    seqs = [outbox.append(second(n)) for n in range(30)]
    outbox.commit(NOW)
    seqs += [outbox.append(second(n)) for n in range(30, 35)]
    outbox.confirm([(seqs[27], seqs[28])])
    got, cursor = [], ALL
    while part := outbox.older_than(cursor, 4):
        got += [entry.seq for entry in part]
        cursor = part[-1].seq
    assert got == [seq for seq in reversed(seqs) if seq not in (seqs[27], seqs[28])]
    assert outbox.oldest_t_ms() == int(NOW.timestamp() * 1000)
    outbox.close()


# -- the bound -------------------------------------------------------------------------------------------------------


def test_what_is_confirmed_and_still_on_disk_waits_no_more(path):
    outbox = Outbox(path, now=NOW)
    old = outbox.append(second(0))
    outbox.commit(NOW)
    outbox.confirm([(old, old)])
    assert (outbox.depth(), outbox.oldest_t_ms()) == (0, None)
    outbox.append(second(700))
    outbox.commit(NOW)
    assert outbox.oldest_t_ms() == int((NOW + timedelta(seconds=700)).timestamp() * 1000)
    outbox.close()


def test_the_bound_drops_the_oldest_seconds_first_and_tells_each_one(path):
    outbox = Outbox(path, now=NOW, max_bytes=60_000)
    kinds: dict[int, str] = {}
    for n in range(600):
        kinds[outbox.append(second(n))] = "noise"
        if n % 60 == 0:
            kinds[outbox.append(minute(n))] = "spectrum"
            kinds[outbox.append(water(n))] = "water"
        if n % 50 == 49:
            outbox.commit(NOW + timedelta(seconds=n))
    left = set(seqs_in(outbox))
    missing = {seq for seq in kinds if seq not in left}
    assert missing
    assert {kinds[seq] for seq in missing} == {"noise"}
    oldest_left = min(seq for seq in left if kinds.get(seq) == "noise")
    assert max(missing) < oldest_left, "the oldest go first"
    told = events_in(outbox, "readings_dropped")
    covered: set[int] = set()
    for one in told:
        those = {s for s in kinds if kinds[s] == one["kind"] and one["first_seq"] <= s <= one["last_seq"]}
        assert len(those) == one["count"]
        assert not those & covered
        covered |= those
    assert covered == missing
    assert outbox.dropped_total == len(missing)
    assert outbox._file.bytes <= 60_000
    outbox.close()


def test_when_the_seconds_are_gone_minutes_go_then_events_and_water_last(path):
    outbox = Outbox(path, now=NOW)
    for n in range(20):
        outbox.append(second(n))
        outbox.append(minute(n))
        outbox.append(event(n))
        outbox.append(water(n))
    outbox.commit(NOW)
    full = outbox._file.bytes
    gone: list[str] = []
    for share in (0.9, 0.7, 0.5, 0.35, 0.2, 0.1):
        outbox._max_bytes = int(full * share)
        outbox.append(water(99))
        for one in outbox.commit(NOW):
            gone.append(one.kind)
            louder = ["noise", "spectrum", "event", "water"][
                : ["noise", "spectrum", "event", "water"].index(one.kind)
            ]
            waiting = {entry.kind for entry in outbox.older_than(one.last_seq, 1_000)}
            assert not waiting & set(louder) - {"event"}, "events of this very drop wait"
    assert list(dict.fromkeys(gone)) == ["noise", "spectrum", "event", "water"]
    outbox.close()


def test_the_drop_and_its_event_are_one_transaction(path, monkeypatch):
    outbox = Outbox(path, now=NOW, max_bytes=20_000)
    for n in range(100):
        outbox.append(second(n))
    outbox.commit(NOW)
    before = seqs_in(outbox)
    for n in range(100):
        outbox.append(second(n))

    def fails(*_):
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(outbox_file.OutboxFile, "_insert", staticmethod(_nth(2, outbox._file._insert, fails)))
    assert outbox.commit(NOW) == []
    monkeypatch.undo()
    assert set(before) <= set(seqs_in(outbox)), "nothing was dropped untold"
    (one,) = outbox.commit(NOW)
    assert [told["last_seq"] for told in events_in(outbox, "readings_dropped")][-1] == one.last_seq
    outbox.close()


def _nth(number, otherwise, then):
    calls = []

    def call(*arguments):
        calls.append(1)
        return then(*arguments) if len(calls) == number else otherwise(*arguments)

    return call


# -- a disk that is full or fails ------------------------------------------------------------------------------------


def _limit_pages(outbox: Outbox, spare: int) -> None:
    db = outbox._file._db
    pages = db.execute("PRAGMA page_count").fetchone()[0]
    db.execute(f"PRAGMA max_page_count = {pages + spare}").fetchone()


def test_a_full_disk_costs_the_oldest_seconds_and_not_the_newest(path):
    outbox = Outbox(path, now=NOW)
    old = [outbox.append(second(n)) for n in range(500)]
    outbox.commit(NOW)
    _limit_pages(outbox, 2)
    new = []
    for n in range(40):
        new += [outbox.append(second(500 + 20 * n + i)) for i in range(20)]
        outbox.commit(NOW)
    left = set(seqs_in(outbox))
    assert set(new[-300:]) <= left
    missing = {seq for seq in old + new if seq not in left}
    told = events_in(outbox, "readings_dropped")
    assert sum(one["count"] for one in told) == len(missing) == outbox.dropped_total
    assert all(any(one["first_seq"] <= seq <= one["last_seq"] for one in told) for seq in missing)
    outbox.close()


def test_a_failing_disk_keeps_readings_in_memory_up_to_the_limit_and_writes_them_when_it_is_back(
    path, monkeypatch
):
    outbox = Outbox(path, now=NOW, memory_limit=1_000)

    def fails(*_arguments, **_options):
        raise sqlite3.OperationalError("attempt to write a readonly database")

    monkeypatch.setattr(outbox._file, "apply", fails)
    seqs = []
    for n in range(1_400):
        seqs.append(outbox.append(second(n)))
        if n % 100 == 0:
            assert outbox.commit(NOW) == []
    assert outbox.depth() <= 1_001
    monkeypatch.undo()
    outbox.commit(NOW)
    left = set(seqs_in(outbox))
    missing = [seq for seq in seqs if seq not in left]
    told = events_in(outbox, "readings_dropped")
    assert sum(one["count"] for one in told) == len(missing) > 0
    assert missing == seqs[: len(missing)], "the oldest go"
    outbox.close()
    again = Outbox(path, now=NOW)
    assert set(seqs_in(again)) == left
    again.close()


@pytest.mark.parametrize(
    ("size", "filled_by"), [("1m", "outbox"), ("2m", "outbox"), ("4m", "others"), ("4m", "others-early")]
)
def test_a_file_system_that_is_really_full(tmp_path, size, filled_by):
    """A small file system in a mount namespace of its own; needs root or user namespaces."""
    mount = tmp_path / "small"
    mount.mkdir()
    script = (
        f"mount -t tmpfs -o size={size} tmpfs {mount} && "
        f"exec {sys.executable} -m tests.edge.outbox_full {mount} {filled_by}"
    )
    own = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user", "--user"]
    done = subprocess.run(
        [*own, "sh", "-c", script], check=False, capture_output=True, text=True, cwd=PROJECT, timeout=120
    )
    if "unshare failed" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"no mounts here: {done.stderr.strip()[:100]}")
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split()[-1] == "sound"


def test_appending_never_waits_for_the_disk(path, monkeypatch):
    outbox = Outbox(path, now=NOW)
    outbox.append(second())
    writing, go_on = threading.Event(), threading.Event()
    apply = outbox._file.apply

    def slow(*arguments, **options):
        writing.set()
        assert go_on.wait(60)
        return apply(*arguments, **options)

    monkeypatch.setattr(outbox._file, "apply", slow)
    committing = threading.Thread(target=outbox.commit, args=(NOW,))
    committing.start()
    assert writing.wait(60)
    seqs = [outbox.append(second(n)) for n in range(1, 100)]
    assert committing.is_alive()
    assert [entry.seq for entry in outbox.take_live()][-99:] == seqs
    go_on.set()
    committing.join(10)
    assert outbox.depth() == 100
    outbox.close()


# -- damage ----------------------------------------------------------------------------------------------------------


def _filled(path: Path, count: int = 3_000) -> list[int]:
    outbox = Outbox(path, now=NOW)
    seqs = [outbox.append(second(n)) for n in range(count)]
    outbox.commit(NOW)
    outbox._file._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    outbox._file._db.close()  # as a power cut would leave it: not ended well
    outbox._file._lock_file.close()
    return seqs


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_set_aside_told_and_replaced_and_what_can_be_read_is_taken_over(path, share):
    seqs = _filled(path)
    whole = path.stat().st_size
    os.truncate(path, int(whole * share))
    outbox = Outbox(path, now=LATER)
    assert list(path.parent.glob("*.corrupt-*"))
    left = set(seqs_in(outbox))
    (told,) = events_in(outbox, "outbox_replaced")
    salvaged = len(left & set(seqs))
    assert told["salvaged"] == salvaged
    if share >= 0.5:
        assert salvaged > len(seqs) * share * 0.5
    assert outbox.append(second()) > seqs[-1]
    outbox.close()
    reopened = Outbox(path, now=NOW)
    assert events_in(reopened, "outbox_replaced") == [told], "told once, on disk"
    reopened.close()


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32))
def test_whatever_bytes_are_damaged_the_outbox_opens_and_what_it_gives_is_sound(tmp_path_factory, seed):
    path = tmp_path_factory.mktemp("damage") / "o.sqlite"
    seqs = _filled(path, 400)
    chance = random.Random(seed)
    data = bytearray(path.read_bytes())
    for _ in range(chance.randint(1, 5)):
        at = chance.randrange(len(data))
        length = chance.choice((1, 16, 4096))
        data[at : at + length] = chance.randbytes(len(data[at : at + length]))
    path.write_bytes(data)
    outbox = Outbox(path, now=LATER)
    for step in range(3):
        try:
            entries = outbox.older_than(ALL, 10_000)
        except sqlite3.DatabaseError as error:
            outbox.replace_corrupt(error, LATER)
            continue
        new = outbox.append(second(step))
        assert new > seqs[-1]
        outbox.commit(NOW)
        assert all(entry.seq <= new for entry in entries)
    outbox.close()


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"SQLite format 3\0" + b"\xff" * 5000, os.urandom(20_000)]
)
def test_a_file_that_is_no_database_never_keeps_the_agent_from_starting(path, content):
    path.parent.mkdir()
    path.write_bytes(content)
    outbox = Outbox(path, now=NOW)
    assert len(events_in(outbox, "outbox_replaced")) == 1
    outbox.append(second())
    outbox.commit(NOW)
    assert outbox.depth() == 2
    outbox.close()


def test_damage_found_in_use_costs_no_reading_in_memory_and_the_count_goes_on(path):
    outbox = Outbox(path, now=NOW)
    old = [outbox.append(second(n)) for n in range(2_000)]
    outbox.commit(NOW)
    outbox._file.make_room()
    fresh = outbox.append(second(5_000))
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\x55" * 40_960)
    outbox._file._db.execute("PRAGMA shrink_memory")
    replaced = False
    for n in range(20):
        outbox.append(second(6_000 + n))
        try:
            outbox.older_than(ALL, 5_000)
        except sqlite3.DatabaseError as error:
            outbox.replace_corrupt(error, LATER)
            replaced = True
        outbox.commit(NOW)
    assert events_in(outbox, "outbox_replaced") or not replaced
    assert fresh in seqs_in(outbox)
    assert outbox.next_seq > old[-1]
    outbox.close()


def test_one_rotten_entry_does_not_take_its_neighbours_along(path):
    seqs = _filled(path, 300)
    with sqlite3.connect(path) as db:
        db.execute("UPDATE entries SET payload = ? WHERE seq = ?", (b'{"seq":', seqs[100]))
    outbox = Outbox(path, now=LATER)
    with pytest.raises(sqlite3.DatabaseError, match=f"the entry {seqs[100]} is damaged") as raised:
        outbox.older_than(ALL, 1_000)
    outbox.replace_corrupt(raised.value, LATER)
    assert set(seqs_in(outbox)) & set(seqs) == set(seqs) - {seqs[100]}
    assert events_in(outbox, "outbox_replaced")[0]["salvaged"] == 299
    outbox.close()


def test_only_one_damaged_file_is_kept_to_look_at(path):
    for hour in range(3):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"damaged")
        Outbox(path, now=NOW + timedelta(hours=hour)).close()
    assert [file.name for file in path.parent.glob("*.corrupt-*")] == [f"{path.name}.corrupt-20260301T140000"]


def test_many_threads_append_confirm_and_commit_and_nothing_is_lost_or_doubled(path):
    outbox = Outbox(path, now=NOW)
    seqs: list[list[int]] = [[] for _ in range(4)]
    confirmed: set[int] = set()
    done = threading.Event()

    def appends(mine: list[int]) -> None:
        mine.extend(outbox.append(second(n)) for n in range(1_500))

    def confirms() -> None:
        chance = random.Random(1)
        while not done.is_set():
            for entry in outbox.take_live():
                if chance.random() < 0.5:
                    assert outbox.confirm([(entry.seq, entry.seq)]) == 1
                    confirmed.add(entry.seq)

    threads = [threading.Thread(target=appends, args=(mine,)) for mine in seqs]
    other = threading.Thread(target=confirms)
    for thread in (*threads, other):
        thread.start()
    while any(thread.is_alive() for thread in threads):
        outbox.commit(NOW)
    done.set()
    other.join()
    outbox.commit(NOW)
    everything = [seq for mine in seqs for seq in mine]
    assert len(set(everything)) == 6_000
    assert seqs_in(outbox) == sorted(set(everything) - confirmed)
    outbox.close()
