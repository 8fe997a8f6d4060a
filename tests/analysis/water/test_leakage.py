import pytest

from analysis.water.leakage import SupplierYear, balance, grade, leakage_rate

YEAR = SupplierYear(
    supplied_m3=100e6,
    registered_m3=82e6,
    household_share=0.5,
    pipe_km=800.0,
    outlet_pressure_mpa=0.4,
    frost_depth_m=0.0,
)


def test_the_rate_of_a_supplier_with_its_corrections() -> None:
    rate = leakage_rate(YEAR)
    assert rate.gross == pytest.approx(0.18)
    assert rate.r1_households == pytest.approx(0.04)
    assert rate.r2_pipes == pytest.approx(0.99 * (0.08 - 0.0693))
    assert rate.r3_pressure == pytest.approx(0.005)
    assert rate.evaluated == pytest.approx(0.18 - 0.04 - 0.010593 - 0.005)
    assert rate.correction == pytest.approx(0.18 - rate.evaluated)
    assert rate.grade == "none"


@pytest.mark.parametrize(
    ("mpa", "correction"),
    [(0.35, 0.0), (0.36, 0.005), (0.55, 0.005), (0.56, 0.01), (0.75, 0.01), (0.76, 0.02)],
)
def test_pressure_corrects_in_steps(mpa: float, correction: float) -> None:
    assert leakage_rate(_with(outlet_pressure_mpa=mpa)).r3_pressure == correction


@pytest.mark.parametrize(("km", "correction"), [(0.0, -0.03), (20_000.0, 0.03), (693.0, 0.0)])
def test_pipe_length_corrects_by_three_percent_at_most(km: float, correction: float) -> None:
    assert leakage_rate(_with(pipe_km=km)).r2_pipes == pytest.approx(correction, abs=1e-9)


@pytest.mark.parametrize(("registered", "expected"), [(0.9, "first"), (0.88, "second"), (0.85, "none")])
def test_grades(registered: float, expected: str) -> None:
    plain = _with(
        registered_m3=100e6 * registered,
        household_share=0.0,
        pipe_km=693.0,
        outlet_pressure_mpa=0.3,
        frost_depth_m=1.4,
    )
    assert leakage_rate(plain).grade == expected


def test_deep_frost_corrects() -> None:
    assert leakage_rate(_with(frost_depth_m=1.41)).r4_frost == 0.01


def test_a_quarter_is_graded_only_when_every_meter_is_known() -> None:
    full = balance(1000.0, [500.0, 380.0])
    assert (full.lost_l, full.lost_share, full.grade) == (120.0, pytest.approx(0.12), "alarm")
    part = balance(1000.0, [500.0, None])
    assert (part.known_share, part.grade) == (0.5, None)
    with pytest.raises(ValueError, match="master"):
        balance(0.0, [1.0])


@pytest.mark.parametrize(
    ("share", "name"), [(0.049, "ok"), (0.05, "info"), (0.1, "warn"), (0.12, "alarm"), (-0.1, "ok")]
)
def test_grades_of_a_loss(share: float, name: str) -> None:
    assert grade(share) == name


def _with(**changes: float) -> SupplierYear:
    return SupplierYear(**{**{f: getattr(YEAR, f) for f in YEAR.__slots__}, **changes})
