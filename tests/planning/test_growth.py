"""How a signal grows is learned from it alone: trends, what events bring, how large errors are."""

from __future__ import annotations

import base64
import math
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.planning.growth import STEP, Growth, within

DAY = 86_400.0
LEAD = 180.0


def day(at: float) -> float:
    """A quiet daily wave."""
    return 100.0 + 50.0 * math.sin(2.0 * math.pi * at / DAY)


def fed(growth: Growth, values: list[float], *, since: float = 0.0, starts: tuple[float, ...] = ()) -> list[float]:
    """What was told after each value to come within the lead time."""
    told = []
    for number, value in enumerate(values):
        growth.take(since + number * STEP, value, starts=starts)
        told.append(within(growth.ahead(), LEAD) or math.nan)
    return told


def covered(values: list[float], told: list[float], *, lead: float = LEAD) -> float:
    """Share of the second half in which no more came than was told for just then."""
    steps, half = round(lead / STEP), len(values) // 2
    return sum(values[i + steps] <= told[i] + 1e-9 for i in range(half, len(values) - steps)) / (half - steps)


def noisy(random: np.random.Generator, steps: int, size: float) -> list[float]:
    level, found = 0.0, []
    for step in range(steps):
        level = 0.99 * level + size * float(random.standard_normal())
        found.append(day(step * STEP) * math.exp(level))
    return found


@pytest.mark.parametrize("size", [0.002, 0.02])
@pytest.mark.parametrize("quantile", [0.8, 0.95])
def test_no_more_comes_than_is_told_in_as_much_of_the_time_as_is_asked_for(size: float, quantile: float) -> None:
    values = noisy(np.random.default_rng(7), 8_000, size)
    told = fed(Growth(LEAD, 0.3, quantile), values)
    assert quantile - 0.1 <= covered(values, told) <= quantile + 0.07


def test_a_calm_signal_is_told_close_above_what_comes() -> None:
    """A fan that reaches as far as the lead time, after two days: no margin but what the wave does."""
    values = [day(step * STEP) for step in range(11_520)]
    told = fed(Growth(LEAD, 0.3), values)
    above = [told[i] / values[i + 12] for i in range(5_760, 11_500)]
    assert min(above) >= 0.99
    assert max(above) <= 1.03


def test_of_a_noisy_signal_the_last_minutes_are_told_of_and_not_the_last_reading() -> None:
    """Payments by the minute: some twenty, by chance. Nothing changes, so that what is told should not either."""
    counts = np.random.default_rng(5).poisson(20.0, 1_500)
    values = [float(counts[step // 4]) for step in range(6_000)]
    told = fed(Growth(LEAD, 0.3, 0.9, 1.0), values)
    assert np.std(told[3_000:]) / np.mean(told[3_000:]) <= 0.07
    assert covered(values, told) >= 0.8


def test_before_anything_was_seen_a_wide_margin_is_told() -> None:
    growth = Growth(LEAD, 0.3)
    growth.take(0.0, 100.0)
    assert (within(growth.ahead(), LEAD) or 0.0) >= 115.0


def bump(at: float, starts: tuple[float, ...], height: float = 1.0) -> float:
    """A tenth more each minute for ten minutes from T-0 on, then back within an hour."""
    more = 0.0
    for start in starts:
        since = at - start
        more += height * min(1.0, since / 600.0) if 0.0 <= since < 600.0 else 0.0
        more += height * max(0.0, 1.0 - (since - 600.0) / 3_600.0) if since >= 600.0 else 0.0
    return 1.0 + more


def test_what_events_bring_is_prepared_for_before_their_start_once_some_were_seen() -> None:
    starts = tuple(DAY * day + 43_200.0 for day in range(6))
    values = [100.0 * bump(step * STEP, starts) for step in range(round(6 * DAY / STEP))]
    told = fed(Growth(LEAD, 0.3), values, starts=starts)
    before = [told[round(start / STEP) - 4] for start in starts]
    assert before[0] <= 101.0
    assert before[5] >= 107.0
    assert before == sorted(before)
    night = round((starts[5] - 30_000.0) / STEP)
    assert told[night] <= 1.05 * values[night]


def test_two_events_that_begin_together_bring_twice_as_much() -> None:
    starts = tuple(DAY * day + 43_200.0 for day in range(6))
    double = (*starts, starts[-1])
    told: dict[bool, float] = {}
    for twice in (False, True):
        growth = Growth(LEAD, 0.3)
        values = [100.0 * bump(step * STEP, starts[:5]) for step in range(round(starts[5] / STEP))]
        told[twice] = fed(growth, values, starts=double if twice else starts)[-1]
    assert told[True] - 100.0 >= 1.6 * (told[False] - 100.0)


def test_a_sharp_fall_is_followed_slowly() -> None:
    growth = Growth(LEAD, 0.3, fall=0.08)
    fed(growth, [100.0] * 2_000)
    told = fed(growth, [20.0] * 41, since=2_000 * STEP)
    assert told[4] >= 100.0 * math.exp(-0.08 * 5 * STEP / 60.0) - 1.0
    assert told[40] == pytest.approx(100.0 * math.exp(-0.08 * 41 * STEP / 60.0), rel=0.02)


@pytest.mark.parametrize("trouble", ["a gap", "a longer lead time", "a start just before"])
def test_an_outage_is_followed_slowly_whatever_else_happens(trouble: str) -> None:
    growth = Growth(LEAD, 0.3)
    fed(growth, [10_000.0] * 1_440)
    skipped, starts = 0, ()
    if trouble == "a gap":
        skipped = 6
    elif trouble == "a longer lead time":
        growth = growth.changed(600.0, 0.97)
    else:
        starts = (1_440 * STEP - 100.0,)
    told = fed(growth, [500.0] * 4, since=(1_440 + skipped) * STEP, starts=starts)
    assert told[-1] >= 8_000.0


def test_many_events_at_once_do_not_multiply_what_was_seen_of_one() -> None:
    starts = tuple(DAY * day + 43_200.0 for day in range(3))
    told = {}
    for count in (1, 200):
        growth = Growth(LEAD, 0.3)
        values = [100.0 * bump(step * STEP, starts[:2]) for step in range(round(starts[2] / STEP))]
        told[count] = fed(growth, values, starts=(*starts, *[starts[2]] * (count - 1)))[-1]
    assert told[200] <= 1.5 * told[1]


@pytest.mark.parametrize("steps", [40, 2])
def test_readings_that_come_late_for_once_are_not_learned_from_later_than_they_were(steps: int) -> None:
    growth = Growth(30.0, 0.3)
    for number in range(2_000):
        late = steps * STEP if number % 120 < 2 else 60.0
        growth.take(number * STEP, 100.0 + number % 7, late=late)
    assert len(growth._told) <= growth._fan[-1] + 4 + 1


def test_a_fall_that_was_announced_is_followed_at_once() -> None:
    growth = Growth(LEAD, 0.3)
    fed(growth, [100.0] * 2_000)
    growth.take(2_000 * STEP, 20.0, moved=math.log(20.0 / 100.0))
    assert (within(growth.ahead(), LEAD) or 0.0) <= 22.0


def test_no_trend_goes_on_from_an_announced_opening() -> None:
    growth = Growth(LEAD, 0.3)
    fed(growth, [2.0] * 1_000)
    growth.take(1_000 * STEP, 200.0, moved=math.log(100.0), starts=(1_000 * STEP - 60.0,))
    fed(growth, [200.0] * 3, since=1_001 * STEP)
    assert (within(growth.ahead(), LEAD) or 0.0) <= 260.0


def test_an_opening_that_was_not_announced_in_height_teaches_no_trend_either() -> None:
    growth = Growth(LEAD, 0.3)
    start = 1_000 * STEP
    fed(growth, [2.0] * 1_000, starts=(start,))
    fed(growth, [50.0, 100.0, 200.0, 200.0, 200.0], since=start, starts=(start,))
    assert (within(growth.ahead(), LEAD) or 0.0) <= 260.0


def test_a_moment_that_is_measured_later_than_it_was_announced_leaves_nothing_behind() -> None:
    """A link at 1,000 steps brings twenty times as much for two minutes; the gauge shows it a minute later."""
    growth = Growth(LEAD, 0.3)
    shape, shown = [1.0] * 1_000 + [20.0] * 8 + [1.0] * 80, [1.0] * 1_004 + [20.0] * 8 + [1.0] * 76
    told = []
    for number in range(1, len(shown)):
        moved = math.log(shape[number] / shape[number - 1])
        growth.take(number * STEP, 18.0 * shown[number], moved=moved)
        told.append(within(growth.ahead(), LEAD) or math.nan)
    assert max(told) <= 20.0 * 18.0 * 20.0 * 1.3
    assert max(told[1_020:]) <= 18.0 * 1.3


def test_what_is_kept_tells_the_same_as_what_it_was_kept_of() -> None:
    growth = Growth(LEAD, 0.3, 0.95)
    fed(growth, noisy(np.random.default_rng(3), 4_000, 0.01))
    again = Growth.unpacked(growth.packed(), 0.3, 0.95, 0.08)
    assert len(growth.packed()) <= 12_000
    later = [day(step * STEP) for step in range(4_400, 4_800)]
    for one in (growth, again):
        one.after_a_gap()
    first, second = (fed(one, later, since=4_400 * STEP) for one in (growth, again))
    assert first == pytest.approx(second, rel=1e-3)


@pytest.mark.parametrize("lead", [180.0, 600.0, 1_800.0])
def test_however_much_was_learned_it_fits_on_the_record(lead: float) -> None:
    """Two weeks of all phases, errors of every size: what is learned must not fall off the record as it matures."""
    growth, random = Growth(lead, 0.3), np.random.default_rng(1)
    for state in growth._state():
        state[...] = random.random(state.shape) * random.choice([1e-4, 0.1, 40.0])
    assert len(growth.packed()) <= 14_000
    again = Growth.unpacked(growth.packed(), 0.3, 0.97, 0.04)
    for mine, its in zip(growth._state(), again._state(), strict=True):
        assert its == pytest.approx(mine, rel=2.5e-3)


@pytest.mark.parametrize("poisoned", ["weights", "mean", "loud"])
def test_a_model_that_was_spoilt_tells_nothing_and_is_learned_anew(poisoned: str) -> None:
    growth = Growth(LEAD, 0.3)
    fed(growth, [100.0] * 300)
    {"weights": growth._trend.weights, "mean": growth._mean, "loud": growth._loud}[poisoned][...] = math.nan
    told = []
    for step in range(300, 303):
        growth.take(step * STEP, 100.0)
        told.append(within(growth.ahead(), LEAD))
    assert min([one for one in told if one is not None], default=0.0) >= 100.0


WITHOUT_MEANS = (
    "c-muNXs~AhV>f389Kh&P{qDB^;(OK$i|_Te{k&_B6X%}gjK;gqp7F88rDq`IR`pBRwt9Wqy=^7O?v7ndI|AM>-kH7O^e&K?Z!@E9o!*w+dR{"
    "#{<)p249a>}yRtFN>Xm`p+?F!%SbvGn-KYp+ptQVvXB=%cG!B%s}qun3Ojdz301L*~+1BqR%<*@Z{c()s52gp2-UXVJF*tr86Y#68rx;}{8)"
    "?E+XYhfZ~YZEQFcgxpbHV^9F@0s@ej?Ki1?R(_-Pug(Cl-n{4F(AJEqBXT}9#4x^(5tgHeCcY|YsxO!tQ9?E<)L%UrewuLt2yzvY{F&Ztt2f"
    ")tf^@yJur1c9G2g4<FvFi`=OSOW__D(Us?Iz;hOzi>)MY`t<M#y*#u6`vte*wX_ImJtxZ9?s%`LzWLrCr*|x7{U$pfW;IZonvb1AAQe<~IXR"
    "e)x@+rF;)eQD)w<_ANYw)yxJgve$`oeVkty8w!yPdpkf54H+Vb*O4hx{3a4m}<|4yTu7IPj=9JBX)GayWZtp~Ga(jSlW7_B&{7IO|}Oam(S="
    "tfvmUe!g?K=kU!T!Roie{sVs<wno)Cp7eX?c>U)pr)K|Dr<b!NoW7>~0_y?k1(^Xd3uGq9Y>*uwyFhk=>;}03<Q9;dKyCxM5#&~on?Y^|`2p"
    "k?ke@()1Njl;SCF4Ueg}mCC@er>0ty>Y7=gkH6lTBQg;<~4&1dafyw_^}mkO(8pA@YQ&%9t+&eUqj_+H)e^Q(&%N1rrW@T$vOT;xA!KJjk4x"
    "%W*@^A~Q5%w&~p&6e8UGOY`$G;RFPW4iG1T$2oLeG_h_1IGQQ0*vo0dSDdmo^SL!?2qAs-OYx^Ivj@WG2I4hOn43EE$h|)zK%y<GPFzY{3<r"
    "R!qbhql3Ty)l(1y!L_E5s?XuBJd&`xbTJ~!-v~;FU*PM2jO>^mtTn#bP^XhgljMTH<&rmy+$Ea5GJVJHL`^_rLP6(^yg%v0tsy?W+$xKS=US"
    "hH01(kgYON4|KmN_KKCmvrVx7UC{Zg0DttiFDajE?mgX$dc3>8Q{ksgvucNM4e^AYp1IAi;UpRa`u|O{{zO7SZM<A4C?<krR2s=r25FZ>vzC"
    "_-etY8*d2Ayu&W=Z<PlBCx3swQnwmj0OSN7F#"
)  # what the version without means has written after 200 readings, and what it told of three more

WITHOUT_ROOM = (
    "c-rlic}x^{9K{C@j)*`(IYdELU;&qNxpt178LWUTm$c9oOB!k`)Qdwc5@-V$4ms+D97U9K8$jd`gq`0)0E-pmS`P$QYFjZ9Qv~Uu6zK7_f47OLF)"
    "`^c`Th6u-ut|n%wQPCU|0%`VcuJ?mpBbs$%L$sPr5slkxQ~g!aAT=5je0`ktzr#zDl$q;}arC_1N>otz94Dg9HB5%Xt5<fAjRsM%ySQb%UD^wL}s"
    "7WE@_zh!fAh7s&#pT+a9~N2#Vb!xJuC*{@gSpnGo2Qsdd>Xk1T>=!_4DfN*_$qVh7gSI(er%a747Pp)tkgVGm%peyO*QP~#^6#T_vV##kO*O#V;3"
    "ie(?lKCaHzwr!G^xD731wYU^Nmf#4$HGu}Yadb(MVwWAGP>NQtH{XYE5r?h2>L-T_<`;dk(^A&`3l{@QGB!{oCprZ32BB3Elz7HfCKtLF8G1&w;D"
    "?-_0x8ddHM-az>Z^_PfrYL|FIPTFK|FV$OS*p1ughd)?UqAXHGvicifD#vTcyVF2D;M&<}FK4|G*#EVVu(4e9StLmK|4UhD_E055PrKgb0?&^3Aq"
    "soCWfXyr);!OpNB>;k;N0sSBs{6J?BY)3V=DiJ&n*ctYNU4R!jpdaLdALvr&?O*Dh_@^U{Goh%s6{OEZn<Ay%u0ta#PLV8`B|T!w$a9Hiq{?d<QK"
    "c$S49#I3*c*6^+LXk9y~~r7xNSv`sD{5AulZ;iue`=1{2qr93Gzhz_M-+--2f8ZACAQL=h+gkBJXwISFy8DD5U@XZ~goI>)RxL6W=3SH<Dg>@-8t"
    "-mlB^neMk(&Ta(*QA0RQG8Z!FkG#MLZMZI%v7bW&Bp&pkgDT$u8I4eXX*7!PJd~;u^*mqOEcq|E{>su}8iz(aa2L(syog;;GYknK;-KV0v*kz2fO"
    "3K6(IWv{K3}({2g_+f@WS+XrF@po;jCq76n|525t*G*58?Efw%SLk6WA`QY%kVt5E^3J74DPd`nHpYq!mqMff@&7un80pzImSv3f59&F8?x`o?=z"
    ">hnwS_xH*+eenbGDSWv*96Gr7M0%$-AVjLw!^Mq=v4Ko{r)-Jm0Mh0f3&7=Q(sfDIUd6_|k?Hh?W)6W9hef~{aP*lq~v5CI1}@bf<(!DVw6_?6-j"
    "QNprxk=hJj^wVRdXYXXH=W4#Wr&71u<K#q?hh$vKW6Hb2eFKkjucq$0eIAnNmimXbTls@h*XUJ_uB&)m!sGqH!h03pxkUKHxGaP%I+vlN&O(8vbL"
    "RUwP8VEPJDro|IX=6n?PwC3?J!)c?hto9)!wA_nc&chJp$<ucQ?P?<hQxymfVi6x3LqPDYPw^P`9lv+HYg%Hp~}Kx$yVQ6j}ElP_s^cB(-XpxnwE"
    "3W?*?BEOt{*Qa7*JeI4)H$b%LmmYo}`^bI!3m`L-;Z)(jtoG`PFOz{Rs$K3S-V!+hc&%iW1G-O?0L%zuk^ATe=cRgdRiLFLPyD|)OP|Mn*RkLd<&"
    "zh~7R0}f5??~6*ZdCWy!=^F4;(Ho;zt`I6&IJYO9QICL{U=Yy;F$"
)  # the same of the version that did not know what is announced


@pytest.mark.parametrize(
    ("former", "ahead", "usual"), [(WITHOUT_MEANS, 117.33754, 0.127444), (WITHOUT_ROOM, 116.25424, 0.117062)]
)
def test_what_the_versions_before_have_learned_is_taken_over(former: str, ahead: float, usual: float) -> None:
    growth = Growth.unpacked(former, 0.3, 0.95, 0.08)
    fed(growth, [100.0 * 1.02**step for step in range(3)])
    assert within(growth.ahead(), 30.0) == pytest.approx(ahead, rel=1e-5)
    assert growth.outlook(30.0)[0] == pytest.approx(usual, rel=1e-4)
    again = Growth.unpacked(growth.packed(), 0.3, 0.95, 0.08)
    assert again.outlook(30.0)[0] == pytest.approx(growth.outlook(30.0)[0], rel=2.5e-3)


@pytest.mark.parametrize("text", ["", "nonsense", "{}", "c-rk-"])
def test_what_cannot_be_read_is_refused_in_words(text: str) -> None:
    with pytest.raises(ValueError, match="what was learned"):
        Growth.unpacked(text, 0.3, 0.95, 0.08)


def test_a_record_that_grows_without_end_is_refused() -> None:
    bomb = base64.b85encode(zlib.compress(b"\0" * 10_000_000)).decode()
    with pytest.raises(ValueError, match="what was learned cannot be read"):
        Growth.unpacked(bomb, 0.3, 0.95, 0.08)


def test_other_horizons_keep_what_was_learned_of_those_that_stay() -> None:
    growth = Growth(LEAD, 0.3)
    values = [day(step * STEP) for step in range(6_000)]
    fed(growth, values)
    wider = growth.changed(600.0, growth.quantile)
    for one in (growth, wider):
        one.after_a_gap()
    first, second = (fed(one, values[:600], since=6_000 * STEP) for one in (growth, wider))
    assert first[-1] == pytest.approx(second[-1], rel=0.01)
    assert wider.reaches >= 600.0


def test_what_begins_after_hours_of_nothing_is_told_at_eight_times_at_most() -> None:
    growth = Growth(LEAD, 0.3)
    bursts = [100.0 if step % 60 > 40 else 1.0 for step in range(4_000)]
    told = fed(growth, bursts)
    assert max(told) <= 8.0 * 100.3


def test_a_gap_is_no_growth() -> None:
    growth = Growth(LEAD, 0.3)
    fed(growth, [100.0] * 2_000)
    told = fed(growth, [500.0], since=2_400 * STEP)
    assert 500.0 <= told[0] <= 600.0


def test_a_clock_that_is_set_back_is_a_gap() -> None:
    growth = Growth(LEAD, 0.3)
    fed(growth, [100.0] * 100)
    growth.take(10.0, 100.0)
    assert growth.ahead()


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(0.0, 1e12), st.floats(0.0, 4_000.0), st.floats(0.0, 2_000.0)), min_size=1, max_size=60
    ),
    st.sampled_from([30.0, 180.0, 1_800.0]),
)
def test_whatever_is_read_what_is_told_is_a_quantity(readings: list[tuple[float, float, float]], lead: float) -> None:
    growth, now = Growth(lead, 0.3), 0.0
    for value, after, late in readings:
        now += after
        growth.take(now, value, starts=(100.0, 1_000.0), late=late)
        for _, told in growth.ahead():
            assert math.isfinite(told)
            assert told >= 0.0


def test_between_two_horizons_lies_a_straight_line_and_the_largest_on_the_way_counts() -> None:
    ahead = ((30.0, 10.0), (60.0, 30.0), (90.0, 20.0))
    assert within(ahead, 45.0) == 20.0
    assert within(ahead, 90.0) == 30.0
    assert within(ahead, 1_000.0) == 30.0
    assert within((), 45.0) is None
