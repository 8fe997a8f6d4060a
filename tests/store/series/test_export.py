"""Exports hold what the store holds, in both formats, in UTC and in the site's own time."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from store.series.export import KINDS, ExportKind, ExportQuery, band_key, parts, schema_of, stored_sources
from store.series.export_file import FORMATS, ExportFormat, encode
from store.series.interface import NoiseHour, SeriesStore, WaterHour
from tests.store.series.conftest import OpenStore
from tests.store.series.made import (
    DAY,
    DEVICE,
    HOUR,
    METER,
    MINUTE,
    SECOND,
    SITE,
    T0,
    event,
    minute,
    put,
    second,
    seconds,
    water,
)

SILENT = NoiseHour(
    SITE, DEVICE, T0, laeq_db=None, l5_db=None, l10_db=None, l50_db=None, l90_db=None, l95_db=None,
    lafmax_db=None, lafmin_db=None, sd_db=None, valid_s=0.0, valid_share=0.0, measured_s=0.0, seconds=0,
)  # fmt: skip
ZONES = {SITE: "Asia/Shanghai", "river": "Europe/Berlin"}


def exported(
    store: SeriesStore, kind: ExportKind, form: ExportFormat = "parquet", start: datetime = T0 - DAY,
    end: datetime = T0 + DAY, sources: list[tuple[str, str]] | None = None,
) -> bytes:  # fmt: skip
    if sources is None:
        sources = stored_sources(store, kind)
    query = ExportQuery(kind, start, end, sources, ZONES)
    return b"".join(encode((part.rows for part in parts(store, query)), schema_of(kind), form))


def table(*args: Any, **kwargs: Any) -> list[dict[str, Any]]:
    return parquet.read_table(pa.BufferReader(exported(*args, **kwargs))).to_pylist()


def lines(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode())))


def test_seconds_carry_utc_and_the_sites_time(store: SeriesStore) -> None:
    put(store, [second(T0, 51.5, lceq_db=60.25, flags=("wind", "gap"), measured_ms=900), second(T0 + SECOND)])
    first, last = lines(exported(store, "seconds", "csv"))
    assert first == {
        "t": "2026-03-10T12:00:00Z", "t_site": "2026-03-10T20:00:00+08:00", "site": SITE, "device": DEVICE,
        "laeq_db": "51.5", "lafmax_db": "51.5", "lafmin_db": "51.5", "laf_db": "51.5", "lceq_db": "60.25",
        "lcpeak_db": "", "measured_ms": "900", "flags": "gap;wind",
    }  # fmt: skip
    assert (last["t"], last["flags"]) == ("2026-03-10T12:00:01Z", "")
    row = table(store, "seconds")[0]
    assert (row["t"], row["t_site"], row["utc_offset_min"]) == (T0, datetime(2026, 3, 10, 20), 480)  # noqa: DTZ001
    assert (row["laeq_db"], row["lcpeak_db"], row["flags"]) == (51.5, None, "gap;wind")


def test_csv_is_quoted_where_it_has_to_be(store: SeriesStore) -> None:
    put(store, [second(T0), event(T0, detail={"why": "a, b"})])
    plain, quoted = exported(store, "seconds", "csv"), exported(store, "events", "csv")
    assert b'"' not in plain
    assert quoted.splitlines()[1].endswith(b'"{""why"":""a, b""}"')


def test_the_sites_time_follows_its_daylight_saving(store: SeriesStore) -> None:
    change = datetime(2026, 3, 29, 1, tzinfo=UTC)
    put(store, [second(change - SECOND, site="river"), second(change, site="river")])
    rows = lines(exported(store, "seconds", "csv", change - DAY, change + DAY))
    assert [row["t_site"] for row in rows] == ["2026-03-29T01:59:59+01:00", "2026-03-29T03:00:00+02:00"]


def test_hours_are_exported_when_no_reading_is_left(open_store: OpenStore) -> None:
    store = open_store()
    rows = [replace(SILENT, t=t) for t in (T0, T0 + 400 * DAY)]
    store.write_rollups(rows, [WaterHour(SITE, METER, T0, 9.0, 1)])
    store.close()
    store, whole = open_store(), (T0 - DAY, datetime.max.replace(tzinfo=UTC))
    assert [row["t"] for row in table(store, "hours", "parquet", *whole, [(SITE, DEVICE)])] == [
        T0,
        T0 + 400 * DAY,
    ]
    assert [row["volume_l"] for row in table(store, "water-hours", "parquet", *whole, [(SITE, METER)])] == [
        9.0
    ]


def test_every_kind_in_every_format(store: SeriesStore) -> None:
    readings = [minute(T0, {500: 480}, first_band=10, bands_db=(40.5,) * 20 + (61.5,) + (30.0,) * 13)]
    readings += [*seconds(T0, [50.0] * 60), water(T0 - HOUR, 100), water(T0 + 2 * HOUR, 160)]
    readings += [event(T0, detail={"why": 'power, "again"'})]
    put(store, readings)
    store.write_rollups(
        store.noise_hours(SITE, DEVICE, T0, T0 + HOUR), store.water_hours(SITE, METER, T0, T0 + HOUR)
    )
    found: dict[str, dict[str, Any]] = {}
    for kind in KINDS:
        rows = table(store, kind)
        assert [row["t"] for row in rows] == sorted(row["t"] for row in rows)
        text = lines(exported(store, kind, "csv"))
        assert len(text) == len(rows) > 0
        assert set(text[0]) == set(rows[0]) - {"utc_offset_min"}
        found[kind] = rows[0]
    assert found["minutes"]["leq_1000hz_db"] == 61.5
    assert found["minutes"]["leq_20000hz_db"] == 30.0
    assert found["hours"]["l50_db"] == pytest.approx(50.05)
    assert found["hours"]["seconds"] == 60
    assert (found["water"]["volume_ml"], found["water"]["meter"]) == (100_000, METER)
    assert found["water-hours"]["volume_l"] == pytest.approx(20.0)
    assert found["events"]["detail"] == '{"why":"power, \\"again\\""}'
    assert lines(exported(store, "events", "csv"))[0]["detail"] == found["events"]["detail"]


def test_a_range_is_half_open_and_sources_are_chosen(store: SeriesStore) -> None:
    put(store, [*seconds(T0, [50.0] * 10), *seconds(T0, [60.0] * 10, device="roof"), second(T0, site="lake")])
    rows = table(store, "seconds", "parquet", T0 + 2 * SECOND, T0 + 5 * SECOND)
    assert [(row["device"], (row["t"] - T0).seconds) for row in rows] == [
        ("gate", 2), ("gate", 3), ("gate", 4), ("roof", 2), ("roof", 3), ("roof", 4),
    ]  # fmt: skip
    assert {row["device"] for row in table(store, "seconds", sources=[(SITE, "roof")])} == {"roof"}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_to_export_is_a_file_with_a_header(
    store: SeriesStore, kind: ExportKind, form: ExportFormat
) -> None:
    data = exported(store, kind, form, sources=[(SITE, DEVICE)])
    if form == "csv":
        assert data.decode().count("\n") == 1
    else:
        assert parquet.read_schema(pa.BufferReader(data)).equals(schema_of(kind))


def test_a_long_range_comes_in_pieces_that_memory_can_hold(store: SeriesStore) -> None:
    put(store, [second(T0 + n * 10 * MINUTE) for n in range(300)])
    query = ExportQuery("seconds", T0 - 300 * DAY, T0 + 300 * DAY, [(SITE, DEVICE), (SITE, "roof")])
    pieces = list(parts(store, query))
    assert sum(piece.rows.num_rows for piece in pieces) == 300
    assert max(piece.rows.num_rows for piece in pieces) <= 32 * 144
    assert len(pieces) < 60  # empty months are strided over
    shares = [piece.done for piece in pieces]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_more_events_than_are_read_at_once(store: SeriesStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("store.series.export._MOST_EVENTS", 5)
    burst = [event(T0 + HOUR, detail={"n": n}, meter=f"m{n}") for n in range(12)]
    put(store, [*(event(T0 + n * MINUTE, detail={"n": n}) for n in range(23)), *burst])
    rows = table(store, "events", sources=[(SITE, DEVICE)])
    assert len(rows) == 35
    assert [row["t"] for row in rows] == sorted(row["t"] for row in rows)


def test_a_turned_range_is_refused(store: SeriesStore) -> None:
    query = ExportQuery("seconds", T0, T0 - timedelta(seconds=1), [(SITE, DEVICE)])
    with pytest.raises(ValueError, match=r"ends .* before it starts"):
        next(parts(store, query))


def test_bands_have_their_nominal_names() -> None:
    assert [band_key(n) for n in (10, 11, 15, 25, 30, 38, 43)] == [
        "leq_10hz_db", "leq_12.5hz_db", "leq_31.5hz_db", "leq_315hz_db", "leq_1000hz_db", "leq_6300hz_db",
        "leq_20000hz_db",
    ]  # fmt: skip
