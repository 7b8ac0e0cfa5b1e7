"""The desk report: one self-contained HTML file per language, and a short Markdown summary for asset metadata."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from forex_assets.evaluation.direction import NEUTRAL_BAND_SHARE, probabilities
from forex_assets.levels import QUANTILE_COLUMNS, QUANTILE_LEVELS
from forex_assets.reporting import (
    changes_section,
    evidence_charts,
    folding,
    forecast_charts,
    history_charts,
    monitoring_section,
)
from forex_assets.reporting.inputs import ReportInputs
from forex_assets.reporting.localize import DESK_ZONE, LANGUAGES, Language, Localizer
from forex_assets.reporting.texts import TEXTS
from forex_assets.reporting.view import HorizonView, ReportView, WindowView, build_view, known_state, records

if TYPE_CHECKING:
    from forex_assets.market.quality import FeedFinding

HISTORIC_AFTER_DAYS = 4
NEWEST_OUTCOMES = 5


def report_filename(language: Language) -> str:
    """Return the name of a report's file: the two languages lie in one folder and link to each other by it."""
    return f"report_{language}.html"


def build_report(inputs: ReportInputs) -> dict[Language, str]:
    """Return one self-contained HTML page per language.

    A forecast whose coverage or bias verdict is bad is withheld: its numbers appear nowhere, its place says why.
    Missing pieces are said in a sentence.
    """
    view = build_view(inputs)
    return {language: _render(view, language) for language in LANGUAGES}


def summary_markdown(inputs: ReportInputs, language: Language = "es") -> str:
    """Return the forecast table as Markdown, for asset metadata."""
    view = build_view(inputs)
    loc = Localizer(language, view.price_decimals)
    page = Page(view, loc)
    pair = f"{inputs.pair.base}/{inputs.pair.quote}"
    if view.last is None:
        lead = loc.text("markdown.no_last", pair=pair, as_of=loc.date(inputs.as_of))
    else:
        lead = loc.text(
            "markdown.lead",
            pair=pair,
            as_of=loc.date(inputs.as_of),
            last=loc.price(view.last.value),
            date=loc.date(view.last.event_date),
        )
    columns = ("horizon", "target_date", "centre", "range80", "range95", "model", "verdict")
    lines = [
        _plain(lead),
        "",
        "| " + " | ".join(_plain(loc.text(f"col.{name}")) for name in columns) + " |",
        "|" + "---|" * len(columns),
    ]
    for horizon in view.horizons:
        verdict = loc.text(f"state.{horizon.judgement.state}")
        row = horizon.active
        if row is None:
            said = loc.text("markdown.withheld" if horizon.withheld else "markdown.not_issued")
            cells = [horizon.name, "–", said, "–", "–", "–", verdict if horizon.issued else "–"]
        else:
            cells = [
                horizon.name,
                loc.date(row.target_date),
                loc.price(row.q500),
                page.span(row.q100, row.q900),
                page.span(row.q025, row.q975),
                page.model(row.model),
                verdict,
            ]
        lines.append("| " + " | ".join(_plain(cell).replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


class Page:
    """What the template calls: names, ranges, notices and charts of one report in one language."""

    def __init__(self, view: ReportView, loc: Localizer) -> None:
        self.view, self.loc, self.inputs = view, loc, view.inputs
        self.pair = f"{self.inputs.pair.base}/{self.inputs.pair.quote}"
        self.levels = tuple(zip(QUANTILE_LEVELS, QUANTILE_COLUMNS, strict=True))

    def monitoring(self) -> Markup:
        """Return the section on the watching side."""
        return monitoring_section.section(self.inputs.monitoring, self.loc.language)

    def changes(self) -> Markup:
        """Return the section on what changed this month, and why."""
        return changes_section.section(self.inputs.changes, self.loc.language)

    # --- names
    def model(self, name: str) -> str:
        """Return a model's name in words, or the name itself when it has none."""
        return self.loc.text_or(f"model.{name}", name)

    def window(self, name: str, *, short: bool = False) -> str:
        """Return a window's name."""
        return self.loc.text_or(f"window{'_short' if short else ''}.{name}", name)

    def series(self, name: str) -> str:
        """Return a series' label."""
        spec = self.inputs.series.get(name)
        return self.loc.text_or(f"series.{name}", name if spec is None else spec.label)

    def source(self, name: str) -> str:
        """Return a source's name in words."""
        return self.loc.text_or(f"source.{name}", name)

    def horizons(self, keep: Callable[[HorizonView], bool]) -> str:
        """Return the names of the horizons that ``keep`` accepts, joined."""
        return ", ".join(horizon.name for horizon in self.view.horizons if keep(horizon))

    # --- numbers
    def span(self, low: float, high: float) -> str:
        """Return a price range."""
        return str(self.loc.text("value.to", low=self.loc.price(low), high=self.loc.price(high)))

    def relative(self, value: float, spot: float) -> str:
        """Return a value as a signed change from ``spot``."""
        return self.loc.percent(value / spot - 1, 1, sign=True)

    def relative_span(self, low: float, high: float, spot: float) -> str:
        """Return a range as signed changes from ``spot``."""
        return str(self.loc.text("value.to", low=self.relative(low, spot), high=self.relative(high, spot)))

    def interval(self, row: Any, name: str, kind: str = "percent", decimals: int = 1) -> Markup:
        """Return an estimate with its confidence interval, or the missing-value sign."""
        show = getattr(self.loc, kind)
        value, low, high = (getattr(row, f"{name}{end}") for end in ("", "_low", "_high"))
        if pd.isna(value):
            return Markup("{}").format(self.loc.missing)
        if pd.isna(low) or pd.isna(high) or low == high:
            return Markup("{}").format(show(value, decimals))
        separator = "–" if low >= 0 else "; "
        ends = [show(end, decimals).removesuffix("%") for end in (low, high)]
        return Markup('{} <span class="ci">[{}{}{}]</span>').format(show(value, decimals), ends[0], separator, ends[1])

    def driver_change(self, row: Any, observations: int) -> str:
        """Return a driver's change: percent for log changes, points or units for differences."""
        value = getattr(row, f"change_{observations}")
        if pd.isna(value):
            return self.loc.missing
        if row.change_kind == "log":
            return self.loc.percent(math.expm1(value), 1, sign=True)
        number = self.loc.number(value, 2, sign=True)
        return str(self.loc.text("drivers.points", value=number)) if row.unit.startswith("percent") else number

    def driver_value(self, row: Any) -> str:
        """Return a driver's value with as many decimals as its size asks for."""
        if pd.isna(row.value):
            return self.loc.missing
        size = abs(row.value)
        return self.loc.number(row.value, 4 if size < 2 and not row.unit.startswith("percent") else 2)

    # --- sentences
    def reasons(self, horizon: HorizonView) -> Markup:
        """Return why a horizon is withheld."""
        loc = self.loc
        parts: list[Markup] = []
        for reason in horizon.judgement.reasons:
            if reason.kind == "coverage":
                band = self.inputs.coverage_band
                parts.append(
                    loc.text(
                        "reason.coverage",
                        window=self.window(reason.window),
                        value=loc.percent(reason.value),
                        low=loc.percent(reason.low),
                        high=loc.percent(reason.high),
                        band_low=loc.percent(band[0], 0),
                        band_high=loc.percent(band[1], 0),
                    )
                )
            elif reason.kind == "bias":
                parts.append(
                    loc.text(
                        "reason.bias",
                        window=self.window(reason.window),
                        value=loc.number(reason.value, 2, sign=True),
                        low=loc.number(reason.low, 2, sign=True),
                        high=loc.number(reason.high, 2, sign=True),
                        band=loc.number(self.inputs.bias_band_sigma, 2),
                    )
                )
            else:
                parts.append(Markup('<span lang="en">{}</span>').format(reason.text))
        return Markup("; ").join(parts)

    def notices(self) -> list[tuple[str, Markup]]:
        """Return what a reader must know first: kind (bad, warn, info) and sentence."""
        loc, view = self.loc, self.view
        found: list[tuple[str, Markup]] = []
        if withheld := self.horizons(lambda h: h.withheld):
            found.append(("bad", loc.text("notice.withheld", horizons=withheld)))
        if view.last is not None and view.stale:
            found.append(
                (
                    "warn",
                    loc.text(
                        "notice.stale",
                        date=loc.date(view.last.event_date),
                        age=loc.count(view.age_business_days),
                        limit=loc.count(view.max_age_business_days),
                    ),
                )
            )
        if unknown := self.horizons(lambda h: h.issued and h.judgement.state == "unknown"):
            found.append(("warn", loc.text("notice.unknown", horizons=unknown)))
        if what_if := self.horizons(lambda h: h.active is not None and bool(h.active.reconstructed)):
            found.append(("warn", loc.text("notice.reconstructed", horizons=what_if)))
        found += folding.attention(self)
        days = (self.inputs.generated_at.astimezone(DESK_ZONE).date() - self.inputs.as_of).days
        if days > HISTORIC_AFTER_DAYS:
            found.append(("info", loc.text("notice.historic", as_of=loc.date(self.inputs.as_of), days=loc.count(days))))
        return found

    def evidence_of(self, finding: Mapping[Any, Any]) -> str:
        """Return what a finding rests on, in figures."""
        return monitoring_section.evidence_words(finding, self.loc.language)

    def live_sentence(self, horizon: HorizonView) -> Markup:
        """Return how a horizon's own forecasts have done so far."""
        live = horizon.live
        row = None if live is None else live.active
        if row is None or not row.n or pd.isna(row.coverage_95):
            return self.loc.text("summary.no_live")
        return self.loc.text(
            "summary.live",
            n=self.loc.count(row.n),
            inside=self.loc.count(round(row.n * row.coverage_95)),
            n_effective=self.loc.number(row.n_effective, 1),
        )

    def basis(self, horizon: HorizonView) -> Markup | None:
        """Return which windows a good verdict rests on."""
        names = [f"“{self.window(name)}”" for name in horizon.judgement.basis]
        return self.loc.text("verdict.basis", windows=", ".join(names)) if names else None

    def live_unknown(self, horizon: HorizonView) -> bool:
        """Return whether a verdict that is not unknown hides live forecasts that nobody can judge yet."""
        if not horizon.judgement.basis or (horizon.live is None and not horizon.windows):
            return False
        row = None if horizon.live is None else horizon.live.active
        return row is None or "unknown" in (known_state(row.coverage_state), known_state(row.bias_state))

    def refusals(self, rows: tuple[Any, ...]) -> list[tuple[str, str, str]]:
        """Return why sources did not answer: their names, the state, the reason; equal ones together."""
        found: dict[tuple[str, str], list[str]] = {}
        for row in rows:
            reason = "" if row.state == "not_needed" or not row.reason else row.reason
            found.setdefault((row.state, reason), []).append(self.source(row.source))
        return [(", ".join(names), state, reason) for (state, reason), names in found.items()]

    def rule(self, name: str) -> str:
        """Return a quality rule's name in words."""
        return self.loc.text_or(f"rule.{name}", name)

    def feed_rule(self, name: str) -> str:
        """Return a feed rule's name in words."""
        return self.loc.text_or(f"feed.{name}", name)

    def feeds_not_judged(self, findings: Iterable[FeedFinding]) -> list[tuple[str, Markup, str]]:
        """Return what the feed rules could not look at: rule, why, and the series, those with one reason together."""
        groups: dict[tuple[str, Markup], list[str]] = {}
        for item in findings:
            facts = {
                name: ", ".join(map(self.series, value.split(", ")))
                if isinstance(value, str)
                else self.loc.count(value)
                for name, value in item.facts
            }
            why = self.loc.text(f"cannot_look.{item.cannot_look}", **facts)
            against = f" ({self.series(item.against)})" if item.against and not facts.get("series") else ""
            groups.setdefault((self.feed_rule(item.rule) + against, why), []).append(self.series(item.series))
        return [(rule, why, " · ".join(names)) for (rule, why), names in groups.items()]

    def feed_effect(self, finding: Any) -> str:
        """Return a feed finding's figure in its unit."""
        loc = self.loc
        if pd.isna(finding.effect):
            return loc.missing
        if finding.unit == "log":
            return loc.percent(math.expm1(finding.effect), 1, sign=True)
        if finding.unit == "share":
            return loc.percent(finding.effect, 0)
        unit = loc.text_or(f"feed_unit.{finding.unit}", finding.unit)
        return f"{loc.number(finding.effect, 0 if float(finding.effect).is_integer() else 1)} {unit}"

    def coverage_title(self, row: Any, cell: Any) -> str:
        """Return what a cell of the coverage map says when pointed at."""
        loc = self.loc
        month = f"{self.series(row.series)}, {loc.month(cell.month)} {cell.month.year}"
        if not cell.expected:
            return str(loc.text("quality.cell_outside", month=month))
        return str(
            loc.text(
                "quality.cell",
                month=month,
                present=loc.count(cell.present),
                expected=loc.count(cell.expected),
                withdrawn=loc.count(cell.withdrawn),
            )
        ).strip()

    def revision_kind(self, name: str) -> str:
        """Return a kind of revision in words."""
        return self.loc.text_or(f"revision.{name}", name)

    def centre_sentence(self, row: Any) -> Markup:
        """Return where the centre lies against the last value."""
        change = self.relative(row.q500, row.last_value)
        same = abs(row.q500 / row.last_value - 1) < 0.0005
        return self.loc.text("summary.same") if same else self.loc.text("summary.moves", change=change)

    def change_sentence(self) -> Markup | None:
        """Return the last value's change from the one before."""
        last, previous = self.view.last, self.view.previous
        if last is None or previous is None:
            return None
        change = last.value / previous.value - 1
        if abs(change) < 0.00005:
            return self.loc.text("head.unchanged")
        return self.loc.text("head.change", change=self.loc.percent(change, 2, sign=True))

    def active_models(self) -> str:
        """Return the names of the models deployed today."""
        names = dict.fromkeys(h.active.model for h in self.view.shown if h.active is not None)
        return ", ".join(self.model(name) for name in names) or self.loc.missing

    # --- rows
    def carried(self) -> SimpleNamespace | None:
        """Return who carries the deployed forecasts and who is left out and why; None where single models do."""
        rows: list[tuple[HorizonView, dict[str, float], bool]] = []
        members: dict[str, None] = {}
        reasons: dict[tuple[str, str], list[str]] = {}
        for horizon in self.view.shown:
            row = horizon.active
            if row is None or not isinstance(row.carried_by, str):
                continue
            shares = json.loads(row.carried_by)
            members |= dict.fromkeys(shares)
            rows.append((horizon, shares, bool(row.degraded)))
            for name, reason in json.loads(row.left_out or "{}").items():
                reasons.setdefault((name, reason), []).append(horizon.name)
        if not rows:
            return None
        left_out = [(name, ", ".join(names), reason) for (name, reason), names in sorted(reasons.items())]
        return SimpleNamespace(rows=rows, members=list(members), left_out=left_out)

    def withheld_names(self) -> str:
        """Return the names of the withheld horizons."""
        return self.horizons(lambda horizon: horizon.withheld)

    def missing_drivers(self) -> str:
        """Return the labels of the drivers without a usable value."""
        return ", ".join(self.series(row.series) for row in self.view.drivers if row.state == "missing")

    def all_rows(self, window: WindowView) -> list[Any]:
        """Return every model's row of a window: the deployed one, the random walk, the others."""
        named = {row.model: row for row in (window.active, window.yardstick, *window.others) if row is not None}
        return list(named.values())

    def live_windows(self) -> list[tuple[HorizonView, WindowView]]:
        """Return the live window of each horizon that has one with scores."""
        return [
            (horizon, horizon.live)
            for horizon in self.view.horizons
            if horizon.live is not None and horizon.live.active is not None and horizon.live.active.n
        ]

    def backtest_windows(self) -> list[tuple[HorizonView, list[WindowView]]]:
        """Return the other windows of each horizon that has any."""
        found = [
            (h, [w for w in h.windows if w is not h.live and w.active is not None and w.active.n])
            for h in self.view.horizons
        ]
        return [(horizon, windows) for horizon, windows in found if windows]

    def newest_outcomes(self) -> list[tuple[HorizonView, list[Any]]]:
        """Return the newest outcomes of each horizon, newest first."""
        return [
            (h, records(h.outcomes.iloc[::-1].head(NEWEST_OUTCOMES))) for h in self.view.horizons if len(h.outcomes)
        ]

    def outcome_kind(self, row: Any) -> str:
        """Return hit, edge or miss."""
        return history_charts.outcome_kind(row)

    # --- evidence
    def direction(self, row: Any) -> list[float]:
        """Return the probabilities of down, flat and up that a forecast's quantiles state."""
        quantiles = np.array([[getattr(row, name) for name in QUANTILE_COLUMNS]])
        return [float(value) for value in probabilities(quantiles, np.array([row.last_value]))[0]]

    @property
    def neutral_band(self) -> str:
        """Return the change up to which a value counts as flat."""
        return self.loc.percent(NEUTRAL_BAND_SHARE, 1)

    def compared(self) -> list[tuple[HorizonView, list[Any]]]:
        """Return the models compared of each horizon that has any: the deployed one, then by CRPS."""
        rows = self._known(self.inputs.comparison)
        found = []
        for horizon in self.view.horizons:
            of_horizon = records(rows[rows["horizon"] == horizon.days])
            of_horizon.sort(key=lambda row: (not row.is_active, row.crps))
            found.append((horizon, of_horizon))
        return [(horizon, listed) for horizon, listed in found if listed]

    def evidence_charts(self) -> list[tuple[str, list[tuple[HorizonView, Markup]]]]:
        """Return the name of each kind of chart with one drawing per horizon that has the rows for it."""
        reliability, slices = self._known(self.inputs.reliability), self._known(self.inputs.slices)
        kinds = (
            ("calibration", evidence_charts.calibration_curve, reliability),
            ("pit", evidence_charts.pit_histogram, reliability),
            ("through_time", evidence_charts.score_through_time, slices),
            ("regimes", evidence_charts.regime_chart, slices),
        )
        out = []
        for name, draw, rows in kinds:
            drawn = [(h, draw(rows[rows["horizon"] == h.days], self.loc)) for h in self.view.horizons]
            out.append((name, [(horizon, chart) for horizon, chart in drawn if chart]))
        return [(name, drawn) for name, drawn in out if drawn]

    def _known(self, rows: pd.DataFrame) -> pd.DataFrame:
        return rows[rows["as_of"] <= pd.Timestamp(self.inputs.as_of)]

    # --- charts
    def fan(self) -> Markup:
        """Return the fan chart, empty when there is nothing to draw."""
        return forecast_charts.fan_chart(self.view, self.loc)

    def outcomes(self, horizon: HorizonView) -> Markup:
        """Return one small multiple of forecasts and outcomes."""
        return history_charts.outcome_chart(horizon, self.loc)

    def widths(self) -> Markup:
        """Return the widths through time."""
        return history_charts.width_chart(self.view, self.loc)

    def bar(self, row: Any) -> Markup:
        """Return the range bar of a card, on the scale all cards share."""
        rows = [h.active for h in self.view.shown if h.active is not None]
        low = min(min(r.q025 / r.last_value for r in rows), 1.0)
        high = max(max(r.q975 / r.last_value for r in rows), 1.0)
        return forecast_charts.range_bar(row, row.last_value, (low * row.last_value, high * row.last_value), self.loc)

    def coverage_dots(self) -> Markup:
        """Return coverage by horizon and window, live window first."""
        loc = self.loc
        return history_charts.dot_chart(
            self._dots("coverage_95", lambda value: loc.percent(value), lambda row: row.coverage_state),
            loc,
            label=str(loc.text("chart.coverage.alt")),
            reference=0.95,
            band=self.inputs.coverage_band,
            limits=(0.85, 1.0),
            clip=(0.7, 1.0),
            tick=lambda value: loc.percent(value, 0),
        )

    def ratio_dots(self) -> Markup:
        """Return the interval-score ratio by horizon and window."""
        loc = self.loc
        return history_charts.dot_chart(
            self._dots("interval_score_ratio", lambda value: loc.number(value, 3), _ratio_state),
            loc,
            label=str(loc.text("chart.ratio.alt")),
            reference=1.0,
            band=None,
            limits=(0.9, 1.1),
            clip=(0.75, 1.3),
            tick=lambda value: loc.number(value, 2),
        )

    def _dots(self, name: str, show: Callable[[float], str], judge: Callable[[Any], str]) -> list[history_charts.Dot]:
        dots = []
        for horizon in self.view.horizons:
            for window in horizon.windows:
                row = window.active
                if row is None or not row.n or pd.isna(getattr(row, name)):
                    continue
                value, low, high = (float(getattr(row, f"{name}{end}")) for end in ("", "_low", "_high"))
                state = known_state(judge(row))
                label = self.window(window.window, short=True)
                dots.append(history_charts.Dot(horizon.name, label, value, low, high, state, show(value)))
        return dots


def _ratio_state(row: Any) -> str:
    if row.interval_score_ratio_high < 1:
        return "good"
    return "bad" if row.interval_score_ratio_low > 1 else "unknown"


@functools.lru_cache(maxsize=1)
def _environment() -> Any:
    import jinja2

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _render(view: ReportView, language: Language) -> str:
    loc = Localizer(language, view.price_decimals)
    other: Language = "en" if language == "es" else "es"
    page = Page(view, loc)
    html: str = (
        _environment()
        .get_template("report.html.j2")
        .render(
            page=page,
            view=view,
            loc=loc,
            t=loc.text,
            known_state=known_state,
            texts=TEXTS,
            inputs=view.inputs,
            other_file=report_filename(other),
        )
    )
    return folding.folded(html, folding.verdict_lines(page))


def _plain(text: str) -> str:
    return text.unescape() if isinstance(text, Markup) else text
