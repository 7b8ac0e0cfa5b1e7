"""The page of ``forex regime intervals``: intervals before and after regime conditioning, in both languages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

_STYLE = """
:root{color-scheme:light dark;--ink:#1b2733;--soft:#5d6b78;--line:#d8dee4;--ground:#fff}
:root{--a:#8a97a5;--b:#0b6bcb;--c:#b4690e}
@media (prefers-color-scheme:dark){
:root{--ink:#e6edf3;--soft:#9aa7b3;--line:#30363d;--ground:#0d1117;--b:#58a6ff;--c:#d29922}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--ground)}
body{max-width:64rem;margin:0 auto;padding:1rem}
h1{font-size:1.4rem;margin:.5rem 0}h2{font-size:1.1rem;margin:1.6rem 0 .4rem}p{color:var(--soft);margin:.3rem 0}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:.3rem .5rem;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}
th:nth-child(-n+2),td:nth-child(-n+2){text-align:left}td.why{white-space:normal;text-align:left;min-width:16rem}
svg{width:100%;height:auto}.k{display:inline-block;width:.8rem;height:.8rem;border-radius:2px;margin:0 .3rem 0 .8rem}
"""
_NAMES = {
    "HIGH_VOL": "Alta volatilidad · High volatility",
    "COPPER_SHOCK": "Sacudida del cobre · Copper shock",
    "BCCH_MEETING": "Reunión BCCh · Policy meeting",
    "INTERVENTION": "Intervención · Intervention",
    "NORMAL": "Normal",
}
_BARS = (("before", "var(--a)"), ("used", "var(--b)"), ("classic", "var(--c)"))


def regime_page(found: Mapping[str, Any]) -> str:
    """Return a self-contained page of what :func:`forex_assets.regime_demo.conditioning` gives."""
    key = Markup("").join(
        Markup('<span class="k" style="background:{}"></span>{}').format(colour, label)
        for (_, colour), label in zip(
            _BARS,
            ("antes · before", "como se usa · as used", "tabla clásica · classic table"),
            strict=True,
        )
    )
    body = Markup(
        '<!doctype html><html lang="es"><head><meta charset="utf-8"><meta name="viewport" '
        'content="width=device-width,initial-scale=1"><title>{pair}: regímenes e intervalos</title><style>{style}'
        "</style></head><body><h1>{pair}: intervalos antes y después del régimen</h1>"
        "<p>Cada día del pasado con el factor que regía ese día. Los intervalos ya siguen la volatilidad; por eso un "
        "régimen agitado puede pedir intervalos <em>más angostos</em>, no más anchos.</p>"
        '<p lang="en">Intervals before and after regime conditioning, every past day with the factor valid on it. The '
        "intervals follow volatility already, so a loud regime may ask for <em>narrower</em> ones.</p>"
        "<h2>El último día de cada régimen · The newest day of each regime</h2><p>{key} · ● lo que pasó · outcome</p>"
        "{picture}<h2>Cobertura y puntaje por régimen · Coverage and interval score by regime</h2>{table}</body></html>"
    )
    return str(
        body.format(
            pair=found["pair"],
            style=Markup(_STYLE),  # noqa: S704  # nosec B704  # our own text
            key=key,
            picture=_picture(found["examples"]),
            table=_table(found["summary"]),
        )
    )


def _table(rows: Sequence[Mapping[str, Any]]) -> Markup:
    heads = (
        *("Plazo", "Régimen · Regime", "n", "Dentro 95% antes · hit before", "como se usa · as used"),
        *("clásico · classic", "Puntaje usado · IS used", "clásico · IS classic", "Por qué · Why"),
    )
    head = Markup("").join(Markup('<th scope="col">{}</th>').format(text) for text in heads)
    lines = Markup("").join(
        Markup(
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>"
            '<td class="why" lang="en">{}</td></tr>'
        ).format(
            row["horizon"],
            _NAMES.get(row["regime"], row["regime"]),
            row["n"],
            *(f"{100 * row[f'coverage_95_{name}']:.1f}%" for name in ("before", "used", "classic")),
            *(f"{row[f'score_ratio_{name}']:.3f}" for name in ("used", "classic")),
            row["reason"],
        )
        for row in rows
    )
    return Markup('<div class="scroll"><table><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>').format(
        head, lines
    )


def _picture(examples: Sequence[Mapping[str, Any]]) -> Markup:
    """Return the 95% intervals as bars in percent of the centre, and the outcome as a dot."""
    rows = [row for row in examples if row["centre"] > 0]
    if not rows:
        return Markup("<p>–</p>")
    reach = max(abs(end / row["centre"] - 1) for row in rows for name, _ in _BARS for end in row[name])
    reach = 1.05 * max(reach, *(abs(row["actual"] / row["centre"] - 1) for row in rows))
    left, width, step = 250, 620, 58

    def x(value: float, centre: float) -> float:
        return float(left + width / 2 * (1 + (value / centre - 1) / reach))

    parts = []
    for i, row in enumerate(rows):
        top = i * step + 18
        parts.append(
            Markup(
                '<text x="0" y="{}" font-size="13" fill="currentColor">{} · {}</text>'
                '<text x="0" y="{}" font-size="12" fill="var(--soft)">{}</text>'
            ).format(top + 10, row["horizon"], row["as_of"], top + 27, _NAMES.get(row["regime"], row["regime"]))
        )
        for j, (name, colour) in enumerate(_BARS):
            low, high = (x(end, row["centre"]) for end in row[name])
            parts.append(
                Markup('<rect x="{:.1f}" y="{}" width="{:.1f}" height="9" rx="2" fill="{}"/>').format(
                    low, top + 12 * j - 4, high - low, colour
                )
            )
        parts.append(
            Markup('<circle cx="{:.1f}" cy="{}" r="5" fill="currentColor" stroke="var(--ground)"/>').format(
                x(row["actual"], row["centre"]), top + 12
            )
        )
    height = len(rows) * step + 30
    middle = left + width / 2
    axis = Markup(
        '<line x1="{m}" x2="{m}" y1="0" y2="{h}" stroke="var(--line)"/><text x="{m}" y="{t}" font-size="12" '
        'text-anchor="middle" fill="var(--soft)">centro · centre (±{r:.0f}% a los bordes)</text>'
    ).format(m=middle, h=height - 22, t=height - 6, r=100 * reach)
    return Markup(
        '<div class="scroll"><svg viewBox="0 0 {} {}" style="min-width:42rem" role="img" aria-label="'
        'Intervalos por régimen">{}{}</svg></div>'
    ).format(left + width + 10, height, axis, Markup("").join(parts))
