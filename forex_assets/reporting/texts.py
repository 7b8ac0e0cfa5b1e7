"""Every sentence of the report, in Spanish and English. Placeholders are ``str.format`` fields, markup is our own."""

from __future__ import annotations

from typing import NamedTuple


class Text(NamedTuple):
    """One text in both languages."""

    es: str
    en: str


TEXTS: dict[str, Text] = {
    # --- values
    "value.missing": Text("s/d", "n/a"),
    "value.to": Text("{low} a {high}", "{low} to {high}"),
    "value.none": Text("ninguno", "none"),
    "horizon.days": Text("{days} días", "{days} days"),
    "unit.percent per year": Text("% anual", "% per year"),
    "unit.percent": Text("%", "%"),
    "unit.index": Text("índice", "index"),
    "unit.USD per barrel": Text("USD por barril", "USD per barrel"),
    # --- names
    "model.random_walk": Text("Paseo aleatorio", "Random walk"),
    "model.rw_blend": Text("Paseo aleatorio, volatilidad combinada", "Random walk, blended volatility"),
    "model.rw_empirical": Text("Paseo aleatorio, cuantiles empíricos", "Random walk, empirical quantiles"),
    "model.champion_zero": Text("Paseo aleatorio calibrado", "Calibrated random walk"),
    "model.gjr_t": Text("GJR-GARCH, colas t", "GJR-GARCH, t tails"),
    "model.loghar": Text("Log-HAR de panel", "Pooled log-HAR"),
    "model.ensemble": Text("Conjunto", "Ensemble"),
    "model.rw_drift": Text("Paseo aleatorio con deriva", "Random walk with drift"),
    "model.rw_ewma": Text("Paseo aleatorio, EWMA", "Random walk, EWMA"),
    "model.garch_t": Text("GARCH, colas t", "GARCH, t tails"),
    "model.egarch_t": Text("EGARCH, colas t", "EGARCH, t tails"),
    "model.driver vix": Text("Dato: VIX y volatilidad del panel", "Driver: VIX and panel volatility"),
    "model.driver carry": Text("Dato: diferencial de tasas", "Driver: rate differential"),
    "carried.title": Text("Qué sostiene este pronóstico", "What carries this forecast"),
    "carried.lead": Text(
        "Participación de cada modelo en el conjunto. Un modelo entra mientras no sea peor que el paseo aleatorio.",
        "Each model's share in the ensemble. A model is in while it is no worse than the random walk.",
    ),
    "carried.left_out": Text("Fuera del conjunto, y por qué", "Left out, and why"),
    "carried.why": Text("Motivo (en inglés)", "Reason"),
    "carried.degraded": Text("Degradado: un modelo falló", "Degraded: a model failed"),
    "forecast.composed": Text("corregido solo con evidencia", "corrected on evidence only"),
    "window.live_60": Text("En vivo, últimos 60", "Live, last 60"),
    "window.backtest_1y": Text("Retrospectiva, 1 año", "Backtest, 1 year"),
    "window.backtest_5y": Text("Retrospectiva, 5 años", "Backtest, 5 years"),
    "window.backtest_all": Text("Retrospectiva completa", "Backtest, all years"),
    "window_short.live_60": Text("en vivo", "live"),
    "window_short.backtest_1y": Text("1 año", "1 year"),
    "window_short.backtest_5y": Text("5 años", "5 years"),
    "window_short.backtest_all": Text("todo", "all"),
    "rule.not_finite": Text("valor ausente", "missing value"),
    "rule.future": Text("fecha futura", "future date"),
    "rule.calendar": Text("fuera de calendario", "off calendar"),
    "rule.duplicate": Text("repetido", "duplicate"),
    "rule.unit": Text("unidad equivocada", "wrong unit"),
    "rule.range": Text("fuera de rango", "out of range"),
    "rule.high_low": Text("máximo y mínimo inconsistentes", "inconsistent high and low"),
    "rule.jump": Text("salto desmedido", "gross jump"),
    "rule.cross_source": Text("contradice la referencia", "contradicts its reference"),
    "rule.spike": Text("salto que se revierte", "reverted spike"),
    "rule.outlier": Text("valor aislado", "outlier"),
    "rule.stale": Text("precio repetido", "stale run"),
    "rule.revision": Text("reemplazado por una versión nueva", "replaced by a newer version"),
    "kind.fixing": Text("fixing oficial", "official fixing"),
    "kind.close": Text("cierre de mercado", "market close"),
    "state.good": Text("Conforme", "Good"),
    "state.bad": Text("No conforme", "Bad"),
    "state.unknown": Text("Evidencia insuficiente", "Not enough evidence"),
    "state_short.good": Text("conforme", "good"),
    "state_short.bad": Text("no conforme", "bad"),
    "state_short.unknown": Text("sin evidencia", "unknown"),
    "verdict.coverage": Text("Cobertura: {state}", "Coverage: {state}"),
    "verdict.bias": Text("Sesgo: {state}", "Bias: {state}"),
    "verdict.basis": Text("según {windows}", "on {windows}"),
    "verdict.live_unknown": Text("En vivo: sin evidencia", "Live: unknown"),
    "ratio.good": Text("Mejor", "Better"),
    "ratio.bad": Text("Peor", "Worse"),
    "ratio.unknown": Text("No se distingue", "Cannot be told apart"),
    "driver_state.fresh": Text("Al día", "Fresh"),
    "driver_state.stale": Text("Atrasado", "Stale"),
    "driver_state.missing": Text("Sin dato", "Missing"),
    "source_state.answered": Text("respondió", "answered"),
    "source_state.not_needed": Text("no fue necesaria", "not needed"),
    "source_state.not_configured": Text("no configurada", "not configured"),
    "source_state.failed": Text("falló", "failed"),
    "source_state.empty": Text("sin datos", "empty"),
    "why.offline": Text("sin red por configuración", "offline by configuration"),
    "why.FOREX_DATA_DIR is not set": Text("FOREX_DATA_DIR no está definida", "FOREX_DATA_DIR is not set"),
    "source.embedded": Text("serie oficial incluida", "bundled official series"),
    "source.folder": Text("carpeta local", "local folder"),
    "source.ecb": Text("BCE", "ECB"),
    "source.ecb_live": Text("BCE, en línea", "ECB, live"),
    "source.findic": Text("findic.cl", "findic.cl"),
    "source.added": Text("Archivo propio", "File of one's own"),
    "source.bis": Text("BIS", "BIS"),
    "source.fred": Text("FRED", "FRED"),
    "source.yahoo": Text("Yahoo", "Yahoo"),
    "source.stooq": Text("Stooq", "Stooq"),
    "source.alphavantage": Text("Alpha Vantage", "Alpha Vantage"),
    "source.xe": Text("XE (punto medio)", "XE (mid)"),
    "source.mindicador": Text("mindicador.cl", "mindicador.cl"),
    "source.siete": Text("BCCh SIETE", "BCCh SIETE"),
    "series.usdclp_fixing": Text("Dólar observado (BCCh)", "Dólar observado (BCCh fixing)"),
    "series.usdclp_close": Text("USD/CLP, cierre de la sesión chilena", "USD/CLP, close of the Chilean session"),
    "series.tpm": Text("Tasa de política monetaria (TPM)", "BCCh policy rate (TPM)"),
    "series.uf": Text("Unidad de Fomento (UF)", "Unidad de Fomento (UF)"),
    "series.ipc_yoy": Text("IPC, variación en 12 meses", "Chile CPI, 12-month change"),
    "series.imacec_yoy": Text("IMACEC, variación en 12 meses", "IMACEC activity index, 12-month change"),
    "series.copper_lme": Text("Cobre, BML", "Copper, LME"),
    "series.copper_comex": Text("Cobre, COMEX (primer futuro)", "Copper, COMEX front future"),
    "series.dxy": Text("Índice dólar (DXY)", "US dollar index (DXY)"),
    "series.vix": Text("VIX", "VIX"),
    "series.sp500": Text("S&P 500", "S&P 500"),
    "series.wti": Text("Petróleo WTI, spot (EIA)", "WTI oil, spot (EIA)"),
    "series.brent": Text("Petróleo Brent, spot (EIA)", "Brent oil, spot (EIA)"),
    "series.fed_funds": Text("Tasa efectiva de fondos federales", "Effective federal funds rate"),
    "series.us_2y": Text("Bono del Tesoro de EE. UU., 2 años", "US Treasury yield, 2 years"),
    "series.us_10y": Text("Bono del Tesoro de EE. UU., 10 años", "US Treasury yield, 10 years"),
    "series.eem": Text("Acciones de mercados emergentes (EEM)", "Emerging-market shares (EEM)"),
    "series.china_cli": Text("China, indicador adelantado (OCDE)", "China, leading indicator (OECD)"),
    "series.afp_flows": Text("Flujos de las AFP al exterior", "Pension fund flows abroad (AFP)"),
    "series.eurusd_ecb": Text("EUR/USD, referencia del BCE", "EUR/USD, ECB reference rate"),
    "series.usdzar_ecb": Text("USD/ZAR, cruce de referencias del BCE", "USD/ZAR, cross of ECB reference rates"),
    # --- header
    "head.title": Text("{pair}: pronóstico al {as_of}", "{pair}: forecast as of {as_of}"),
    "head.report": Text("Informe de mesa", "Desk report"),
    "head.as_of": Text("al", "as of"),
    "head.as_of_long": Text("Con lo conocido al cierre del {as_of}", "As known at the end of {as_of}"),
    "head.other_language": Text("English", "Español"),
    "head.other_language_code": Text("en", "es"),
    "head.skip": Text("Ir al pronóstico", "Skip to the forecast"),
    "head.last": Text("Último valor", "Last value"),
    "head.last_date": Text("Fecha del valor", "Date of the value"),
    "head.known_since": Text("conocido desde el {instant}, hora de Santiago", "known since {instant}, Santiago time"),
    "head.change": Text("{change} respecto del valor anterior", "{change} from the value before"),
    "head.unchanged": Text("sin cambio respecto del valor anterior", "unchanged from the value before"),
    "head.target": Text("Qué se pronostica", "What is forecast"),
    "head.source": Text("Fuente del último valor", "Source of the last value"),
    "head.model": Text("Modelo activo", "Active model"),
    "head.issued": Text("Emitidos en los últimos 7 días", "Issued in the last 7 days"),
    "head.issued_value": Text("{n} pronósticos", "{n} forecasts"),
    "head.no_bars": Text(
        "No hay precios utilizables conocidos a esta fecha, así que no hay último valor ni historia que mostrar.",
        "No usable price was known on this date, so there is no last value and no history to show.",
    ),
    # --- notices
    "notice.stale": Text(
        "El último valor es del {date}, {age} días hábiles antes de la fecha del informe (se admiten {limit}). Los "
        "pronósticos parten de un precio atrasado.",
        "The last value is dated {date}, {age} business days before the report's date ({limit} are allowed). The "
        "forecasts start from an old price.",
    ),
    "notice.historic": Text(
        "Este informe describe el {as_of} y se generó {days} días después, solo con lo que se conocía entonces.",
        "This report describes {as_of} and was made {days} days later, only from what was known then.",
    ),
    "notice.withheld": Text(
        "Pronóstico retenido: {horizons}. Su cobertura o su sesgo están fuera de tolerancia y sus números no se usan.",
        "Forecast withheld: {horizons}. Its coverage or bias is out of tolerance and its numbers are not used.",
    ),
    "notice.unknown": Text(
        "Sin evidencia suficiente para dar un veredicto: {horizons}. No equivale a un visto bueno.",
        "Not enough evidence for a verdict: {horizons}. That is not a clean bill of health.",
    ),
    "notice.reconstructed": Text(
        "Hay pronósticos reconstruidos con una configuración posterior a esta fecha ({horizons}): son un ejercicio "
        "hipotético, no lo que se habría dicho entonces.",
        "Some forecasts were reconstructed with a configuration later than this date ({horizons}): they are a "
        "what-if, not what would have been said then.",
    ),
    # --- summary
    "summary.title": Text("En breve", "In short"),
    "summary.card": Text("A {days} días", "{days} days"),
    "summary.until": Text("para el {date}", "for {date}"),
    "summary.centre": Text("Centro", "Centre"),
    "summary.range": Text(
        "Con 80% de probabilidad, entre <strong>{low80}</strong> y <strong>{high80}</strong>; con 95%, entre {low95} "
        "y {high95}.",
        "With 80% probability between <strong>{low80}</strong> and <strong>{high80}</strong>; with 95%, between "
        "{low95} and {high95}.",
    ),
    "summary.same": Text(
        "El centro coincide con el último valor: el modelo no anticipa dirección.",
        "The centre equals the last value: the model takes no view on direction.",
    ),
    "summary.moves": Text(
        "El centro queda {change} respecto del último valor.", "The centre is {change} from the last value."
    ),
    "summary.live": Text(
        "De los últimos {n} pronósticos vencidos, {inside} terminaron dentro del rango de 95%; por traslape "
        "equivalen a {n_effective} casos independientes.",
        "Of the last {n} matured forecasts, {inside} ended inside the 95% range; overlap makes that worth "
        "{n_effective} independent cases.",
    ),
    "summary.no_live": Text(
        "Ningún pronóstico propio de este plazo ha vencido todavía.",
        "No forecast of this tenor made by this platform has matured yet.",
    ),
    "summary.withheld": Text("Retenido: no se muestran sus números.", "Withheld: its numbers are not shown."),
    "summary.not_issued": Text(
        "No hay pronóstico de este plazo para esta fecha.", "There is no forecast of this tenor for this date."
    ),
    "summary.bar_note": Text(
        "Barras en una misma escala: 80% oscuro, 95% claro, línea en el último valor.",
        "Bars share one scale: 80% dark, 95% light, the line is the last value.",
    ),
    "reason.coverage": Text(
        "cobertura del 95% en “{window}”: {value}, intervalo de confianza {low} a {high}, todo fuera de la "
        "tolerancia de {band_low} a {band_high}",
        "95% coverage over “{window}”: {value}, confidence interval {low} to {high}, wholly outside the tolerance of "
        "{band_low} to {band_high}",
    ),
    "reason.bias": Text(
        "sesgo en “{window}”: {value} desviaciones estándar, intervalo de confianza {low} a {high}, todo fuera de "
        "±{band}",
        "bias over “{window}”: {value} standard deviations, confidence interval {low} to {high}, wholly outside "
        "±{band}",
    ),
    # --- forecast table
    "forecast.title": Text("Pronóstico por plazo", "Forecast by tenor"),
    "forecast.lead": Text(
        "Rangos en {unit} y como variación respecto del último valor. El plazo se cuenta en días corridos y la fecha "
        "objetivo se corre al día hábil siguiente.",
        "Ranges in {unit} and as a change from the last value. Tenors count calendar days; the target date rolls "
        "forward to the next business day.",
    ),
    "forecast.none": Text(
        "No hay pronósticos para esta fecha. Ejecute el pronóstico de {as_of} y vuelva a generar el informe.",
        "There are no forecasts for this date. Run the forecast of {as_of} and make the report again.",
    ),
    "forecast.withheld": Text("Retenido, no se muestra: {reasons}.", "Withheld, not shown: {reasons}."),
    "forecast.withheld_plain": Text(
        "Retenido por un veredicto negativo, no se muestra.", "Withheld for a bad verdict, not shown."
    ),
    "forecast.yardstick": Text("Referencia: paseo aleatorio", "Yardstick: random walk"),
    "forecast.calibrated": Text("Calibrado desde {date}", "Calibrated from {date}"),
    "forecast.uncalibrated": Text("Sin calibrar", "Not calibrated"),
    "forecast.reconstructed": Text("Reconstruido", "Reconstructed"),
    "forecast.quantiles": Text("Todos los cuantiles", "All quantiles"),
    "forecast.quantiles_lead": Text(
        "Probabilidad de terminar por debajo del valor indicado, en {unit}.",
        "Probability of ending below the value shown, in {unit}.",
    ),
    "col.horizon": Text("Plazo", "Tenor"),
    "col.target_date": Text("Fecha objetivo", "Target date"),
    "col.centre": Text("Centro", "Centre"),
    "col.range80": Text("Rango 80%", "80% range"),
    "col.range95": Text("Rango 95%", "95% range"),
    "col.model": Text("Modelo", "Model"),
    "col.model_intervals": Text("Modelo e intervalos", "Model and intervals"),
    "col.verdict": Text("Veredicto", "Verdict"),
    "col.window": Text("Ventana", "Window"),
    "col.n": Text("n", "n"),
    "col.n_effective": Text("n efectivo", "Effective n"),
    "col.n_both": Text("n (efectivo)", "n (effective)"),
    "col.coverage80": Text("Cobertura 80%", "80% coverage"),
    "col.coverage95": Text("Cobertura 95%", "95% coverage"),
    "col.tails": Text("Bajo / sobre el 95%", "Below / above 95%"),
    "col.is_ratio": Text("Puntaje de intervalo", "Interval score"),
    "col.crps_ratio": Text("CRPS", "CRPS"),
    "col.theil": Text("U de Theil", "Theil’s U"),
    "col.bias": Text("Sesgo (σ)", "Bias (σ)"),
    "col.classic": Text("Regla clásica (cobertura / sesgo)", "Classic rule (coverage / bias)"),
    "col.result": Text("Resultado", "Result"),
    "col.issued": Text("Emitido", "Issued"),
    "col.actual": Text("Valor observado", "Outcome"),
    "col.learned": Text("Aprendido hasta", "Learned through"),
    "col.valid_from": Text("Vigente desde", "Valid from"),
    "col.factors": Text("Factor inferior / superior", "Lower / upper factor"),
    "col.before_after80": Text("Cobertura 80%: antes → después", "80% coverage: before → after"),
    "col.before_after95": Text("Cobertura 95%: antes → después", "95% coverage: before → after"),
    "col.series": Text("Serie", "Series"),
    "col.answered": Text("Fuente que respondió", "Source that answered"),
    "col.rows": Text("Datos", "Rows"),
    "col.span": Text("Fechas", "Dates"),
    "col.others": Text("Otras fuentes y por qué no", "Other sources and why not"),
    "col.value": Text("Valor", "Value"),
    "col.unit": Text("Unidad", "Unit"),
    "col.date": Text("Fecha", "Date"),
    "col.age": Text("Antigüedad", "Age"),
    "col.change1": Text("Cambio 1", "Change 1"),
    "col.change5": Text("Cambio 5", "Change 5"),
    "col.change20": Text("Cambio 20", "Change 20"),
    "col.state": Text("Estado", "State"),
    "col.source": Text("Fuente", "Source"),
    "col.rule": Text("Regla", "Rule"),
    "col.reason": Text("Motivo", "Reason"),
    # --- fan
    "fan.title": Text("Historia y abanico de probabilidad", "History and fan of probability"),
    "fan.lead": Text(
        "Línea: historia reciente. Abanico: cuantiles de 2,5% a 97,5% del camino a {days} días; los bordes marcados "
        "son 80% y 95%. Barras: el rango que se evalúa en la fecha objetivo de cada plazo.",
        "Line: recent history. Fan: quantiles from 2.5% to 97.5% of the {days}-day path; the outlined edges are 80% "
        "and 95%. Bars: the range that is scored on each tenor’s target date.",
    ),
    "fan.no_forecast": Text(
        "Solo historia: no hay un pronóstico que se pueda mostrar.",
        "History only: there is no forecast that may be shown.",
    ),
    "fan.withheld": Text("No se dibuja lo retenido: {horizons}.", "What is withheld is not drawn: {horizons}."),
    "fan.none": Text("No hay historia ni pronósticos que dibujar.", "There is no history and no forecast to draw."),
    "chart.centre": Text("centro", "centre"),
    "chart.fan.alt": Text(
        "{pair}: historia hasta el {as_of} y abanico de cuantiles hacia adelante. Los valores están en la tabla de "
        "pronósticos.",
        "{pair}: history to {as_of} and the fan of quantiles ahead. The values are in the forecast table.",
    ),
    "chart.range_tip": Text(
        "{date}: centro {centre}; 80% de {low80} a {high80}; 95% de {low95} a {high95}",
        "{date}: centre {centre}; 80% from {low80} to {high80}; 95% from {low95} to {high95}",
    ),
    "chart.outcomes.alt": Text(
        "Plazo {horizon}: {n} pronósticos vencidos; {in80} dentro del rango de 80% y {in95} dentro del de 95%.",
        "Tenor {horizon}: {n} matured forecasts; {in80} inside the 80% range and {in95} inside the 95% range.",
    ),
    "chart.coverage.alt": Text(
        "Cobertura del rango de 95% por plazo y ventana, con intervalos de confianza. Los valores están en la tabla.",
        "Coverage of the 95% range by tenor and window, with confidence intervals. The values are in the table.",
    ),
    "chart.ratio.alt": Text(
        "Puntaje de intervalo sobre el del paseo aleatorio por plazo y ventana. Los valores están en la tabla.",
        "Interval score over the random walk’s by tenor and window. The values are in the table.",
    ),
    "chart.calibration.alt": Text(
        "Diferencia entre la frecuencia observada y la nominal de cada cuantil",
        "Difference between observed and nominal frequency of each quantile",
    ),
    "chart.pit.alt": Text(
        "Frecuencia relativa de los valores por décima de la distribución pronosticada",
        "Relative frequency of outcomes by tenth of the predictive distribution",
    ),
    "chart.through_time.alt": Text(
        "Puntaje de intervalo sobre el del paseo aleatorio, por trimestre",
        "Interval score over the random walk's, by quarter",
    ),
    "chart.through_time.year": Text("cuatro trimestres", "four quarters"),
    "chart.through_time.quarter": Text("un trimestre", "one quarter"),
    "chart.regimes.alt": Text(
        "Ancho y cobertura del rango de 95% por régimen de volatilidad",
        "Width and coverage of the 95% range by volatility regime",
    ),
    "chart.regimes.width": Text("Ancho, % del valor", "Width, % of value"),
    "chart.regimes.width_short": Text("Ancho, %", "Width, %"),
    "chart.regimes.coverage": Text("Cobertura", "Coverage"),
    "chart.width.alt": Text(
        "Ancho del rango de 95% según el día de emisión, en porcentaje del último valor, por plazo.",
        "Width of the 95% range by day of issue, in percent of the last value, by tenor.",
    ),
    # --- outcomes
    "outcomes.title": Text("Pronósticos recientes y lo que ocurrió", "Recent forecasts and what happened"),
    "outcomes.lead": Text(
        "Cada barra es el rango emitido ese día; el símbolo es el valor observado después, en su fecha objetivo.",
        "Each bar is the range issued on that day; the symbol is the value observed later, on its target date.",
    ),
    "outcomes.hit": Text("dentro de 80%", "inside 80%"),
    "outcomes.edge": Text("entre 80% y 95%", "between 80% and 95%"),
    "outcomes.miss": Text("fuera de 95%", "outside 95%"),
    "outcomes.caption": Text(
        "{in95} de {n} dentro de 95% · {in80} de {n} dentro de 80%",
        "{in95} of {n} inside 95% · {in80} of {n} inside 80%",
    ),
    "outcomes.pending": Text("{n} por vencer", "{n} awaiting their outcome"),
    "outcomes.none": Text(
        "Todavía no vence ningún pronóstico evaluado: no hay aciertos ni fallas que mostrar.",
        "No evaluated forecast has matured yet: there are no hits or misses to show.",
    ),
    "outcomes.none_horizon": Text("Sin pronósticos vencidos de este plazo.", "No matured forecasts of this tenor."),
    "outcomes.table": Text("Últimos vencimientos, en números", "Newest outcomes, in numbers"),
    # --- performance
    "performance.title": Text(
        "Desempeño en vivo frente al paseo aleatorio", "Live performance against the random walk"
    ),
    "performance.lead": Text(
        "Pronósticos emitidos por esta plataforma y ya vencidos. Entre corchetes, el intervalo de confianza de 95%, "
        "que descuenta el traslape. Puntaje de intervalo y CRPS van divididos por los del paseo aleatorio sobre los "
        "mismos vencimientos: bajo 1 es mejor. Sin corchetes, los casos no alcanzan para un intervalo.",
        "Forecasts issued by this platform that have matured. In brackets, the 95% confidence interval, which allows "
        "for overlap. Interval score and CRPS are divided by the random walk’s on the same targets: below 1 is "
        "better. Without brackets, the cases are too few for an interval.",
    ),
    "performance.none": Text(
        "Todavía no hay evaluación de pronósticos en vivo para esta fecha; no hay veredicto y eso no es un visto "
        "bueno.",
        "There is no evaluation of live forecasts for this date yet; there is no verdict, and that is not a clean "
        "bill.",
    ),
    "performance.verdict_note": Text(
        "Tolerancias: cobertura de 95% entre {low} y {high}; sesgo dentro de ±{bias} desviaciones estándar. No "
        "conforme: el intervalo de confianza queda entero fuera. Conforme: el valor está dentro y hay suficientes "
        "casos independientes. Todo lo demás es “evidencia insuficiente”, que nunca equivale a conforme.",
        "Tolerances: 95% coverage between {low} and {high}; bias within ±{bias} standard deviations. Bad: the "
        "confidence interval lies wholly outside. Good: the value lies inside and rests on enough independent cases. "
        "Anything else is “not enough evidence”, which never means good.",
    ),
    "evidence.title": Text("Evidencia de los modelos", "Evidence on the models"),
    "evidence.lead": Text(
        "Todos los modelos sobre los mismos orígenes del pasado, al lado del paseo aleatorio. "
        "Una razón bajo 1 es mejor que el paseo aleatorio; el veredicto vale por más veces que se mire (sucesión de "
        "confianza del CRPS).",
        "Every model on the same origins of the past, beside the random walk. A ratio below 1 is better than the "
        "random walk; the verdict holds however often one looks (confidence sequence of the CRPS).",
    ),
    "evidence.trials": Text(
        "{n} configuraciones probadas hasta hoy en estas fechas además del paseo aleatorio, búsquedas incluidas; los "
        "valores p lo tienen en cuenta.",
        "{n} configurations ever tried on these dates beside the random walk, searches included; the p-values allow "
        "for them.",
    ),
    "evidence.none": Text(
        "No hay evidencia guardada: falta correr la retrospectiva.", "No evidence is stored: the backtest has not run."
    ),
    "evidence.calibration": Text("Calibración", "Calibration"),
    "evidence.calibration_note": Text(
        "Cuántas veces el valor quedó bajo cada cuantil, menos cuántas debía (puntos). La banda es el margen de error "
        "del modelo en uso; una línea dentro de ella está bien calibrada.",
        "How often the outcome lay below each quantile, minus how often it should (points). The band is the deployed "
        "model's margin of error; a line inside it is well calibrated.",
    ),
    "evidence.pit": Text("Histograma PIT", "PIT histogram"),
    "evidence.pit_note": Text(
        "En qué décima de la distribución cayó el valor (1 = lo esperado). Los extremos altos dicen rangos angostos; "
        "el centro alto, rangos anchos.",
        "Into which tenth of the distribution the outcome fell (1 = as expected). High ends mean ranges too narrow, a "
        "high middle ranges too wide.",
    ),
    "evidence.through_time": Text("Puntaje de intervalo a través del tiempo", "Interval score through time"),
    "evidence.through_time_note": Text(
        "Puntaje del rango de 95% sobre el del paseo aleatorio, según el trimestre del valor. Bajo 1: mejor.",
        "Score of the 95% range over the random walk's, by quarter of the outcome. Below 1: better.",
    ),
    "evidence.regimes": Text("Ancho y cobertura por régimen", "Width and coverage by regime"),
    "evidence.regimes_note": Text(
        "Según la volatilidad del último mes entre las de los cinco años previos, conocida al pronosticar. "
        "Ancho del rango de 95% en % del valor, y cuántas veces contuvo el valor.",
        "By the last month's volatility among those of the five years before, as known when forecasting. Width of the "
        "95% range in % of the value, and how often it held the outcome.",
    ),
    "regime.calm": Text("calma", "calm"),
    "regime.normal": Text("normal", "normal"),
    "regime.turbulent": Text("turbulencia", "turbulent"),
    "verdict.better": Text("mejor", "better"),
    "verdict.worse": Text("peor", "worse"),
    "verdict.undecided": Text("sin decidir", "undecided"),
    "verdict.yardstick": Text("vara de medir", "yardstick"),
    "col.brier_ratio": Text("Brier / paseo", "Brier / walk"),
    "col.dm_p": Text("p Diebold–Mariano", "Diebold–Mariano p"),
    "col.mcs_p": Text("p conjunto de los mejores", "p best set"),
    "col.direction_hit": Text("Dirección acertada", "Direction hit"),
    "direction.title": Text("Dirección", "Direction"),
    "direction.lead": Text(
        "Probabilidad de que el valor baje más de {band}, quede cerca o suba más de {band}, leída de los cuantiles.",
        "Probability that the value falls by more than {band}, stays near or rises by more than {band}, read off the "
        "quantiles.",
    ),
    "direction.down": Text("baja", "down"),
    "direction.flat": Text("se mantiene", "flat"),
    "direction.up": Text("sube", "up"),
    "backtest.title": Text("Ventanas retrospectivas", "Backtest windows"),
    "backtest.lead": Text(
        "Los mismos modelos recorriendo la historia, cada pronóstico solo con lo conocido en su fecha.",
        "The same models walked through history, each forecast only with what was known on its date.",
    ),
    "backtest.none": Text(
        "Todavía no hay resultados retrospectivos para esta fecha.", "There are no backtest results for this date yet."
    ),
    "backtest.coverage": Text("Cobertura del rango de 95%", "Coverage of the 95% range"),
    "backtest.coverage_note": Text(
        "Línea: 95%. Franja: tolerancia de {low} a {high}.", "Line: 95%. Band: tolerance from {low} to {high}."
    ),
    "backtest.ratio": Text("Puntaje de intervalo / paseo aleatorio", "Interval score / random walk"),
    "backtest.ratio_note": Text(
        "Línea: igual al paseo aleatorio. A la izquierda, mejor.",
        "Line: equal to the random walk. Left is better.",
    ),
    "backtest.all_models": Text("Todos los modelos", "All models"),
    "models.active": Text("activo", "active"),
    # --- widths
    "width.title": Text("Ancho de los rangos en el tiempo", "Width of the ranges through time"),
    "width.lead": Text(
        "Ancho del rango de 95% como porcentaje del último valor, según el día de emisión. Los cortes son días sin "
        "pronóstico evaluado ni vigente.",
        "Width of the 95% range as a percentage of the last value, by day of issue. Breaks are days with no forecast "
        "evaluated or outstanding.",
    ),
    "width.none": Text("Aún no hay rangos emitidos que comparar.", "There are no issued ranges to compare yet."),
    "calibration.title": Text("Calibración de los intervalos", "Calibration of the intervals"),
    "calibration.lead": Text(
        "Factores que ensanchan o angostan cada lado del rango, aprendidos solo de errores ya vencidos.",
        "Factors that widen or narrow each side of the range, learned only from errors that had matured.",
    ),
    "calibration.none": Text(
        "No hay calibración vigente: los rangos salen del modelo sin corrección.",
        "No calibration is in force: the ranges come from the model uncorrected.",
    ),
    # --- data
    "sources.title": Text("Fuentes de datos", "Data sources"),
    "sources.lead": Text(
        "Consultadas el {asked_at}, hora de Santiago, en el orden declarado para cada serie.",
        "Asked on {asked_at}, Santiago time, in the order declared for each series.",
    ),
    "sources.none": Text(
        "No hay registro de consulta a las fuentes.", "There is no record of the sources having been asked."
    ),
    "sources.nobody": Text("ninguna respondió", "none answered"),
    "drivers.title": Text("Variables de contexto", "Drivers"),
    "drivers.lead": Text(
        "Último valor conocido al {as_of}. Cambios a 1, 5 y 20 observaciones: en % o, para tasas, en puntos.",
        "Newest value known at {as_of}. Changes over 1, 5 and 20 observations: in %, or in points for rates.",
    ),
    "drivers.none": Text("No hay variables de contexto para esta fecha.", "There are no drivers for this date."),
    "drivers.age": Text("{days} d", "{days} d"),
    "drivers.points": Text("{value} pt", "{value} pt"),
    "drivers.missing": Text("Sin dato utilizable: {names}.", "No usable value: {names}."),
    "quarantine.title": Text("Datos en cuarentena", "Quarantined data"),
    "quarantine.lead": Text(
        "{n} observaciones apartadas por una regla de calidad y conocidas como tales a esta fecha. Se muestran las "
        "más recientes.",
        "{n} observations withdrawn by a quality rule and known as such on this date. The newest are shown.",
    ),
    "quarantine.none": Text(
        "Ninguna observación en cuarentena a esta fecha.", "No observation in quarantine on this date."
    ),
    # --- data quality
    "quality.title": Text("Calidad de los datos", "Data quality"),
    "quality.lead": Text(
        "Lo que las reglas dicen de cada fuente a esta fecha, la cobertura por mes y los valores que cambiaron después "
        "de conocidos. Más arriba: de dónde vino cada serie, y lo apartado en cuarentena.",
        "What the rules say of every feed on this date, coverage by month, and values that changed after they were "
        "known. Further up: where each series came from, and what is in quarantine.",
    ),
    "quality.none": Text("No hay observaciones guardadas que juzgar.", "No observations are stored to judge."),
    "quality.feeds": Text("Fuentes bajo sospecha", "Feeds under suspicion"),
    "quality.feeds_lead": Text(
        "Hallazgos: {found}. Preguntas sin evidencia suficiente: {unknown}. En orden: {clear}.",
        "Findings: {found}. Questions without enough evidence: {unknown}. Clear: {clear}.",
    ),
    "quality.feeds_none": Text("Ninguna regla acusa a una fuente.", "No rule accuses a feed."),
    "quality.unknown": Text("Sin evidencia suficiente ({n})", "Not enough evidence ({n})"),
    "cannot_look.no_value": Text("no hay ningún valor utilizable", "no usable value is held"),
    "cannot_look.dated_ahead": Text("todos los valores llevan fechas por venir", "every value held is dated ahead"),
    "cannot_look.monthly": Text("una serie mensual no tiene sesiones", "a monthly series has no sessions"),
    "cannot_look.few_values": Text("menos de {need} valores", "fewer than {need} values"),
    "cannot_look.no_level": Text("muy pocos valores", "too few values"),
    "cannot_look.calendar_ends": Text("el calendario no alcanza", "the calendar does not reach"),
    "cannot_look.no_reference": Text(
        "no hay valor de {series} con que comparar", "no value of {series} to compare with"
    ),
    "cannot_look.few_common": Text("fechas en común: {n}", "dates in common: {n}"),
    "cannot_look.few_earlier": Text("fechas anteriores en común: {n}", "earlier dates in common: {n}"),
    "cannot_look.no_lag": Text(
        "muy poca concordancia con cualquier rezago en {n} sesiones",
        "too little agreement at any lag over {n} sessions",
    ),
    "cannot_look.nothing_alike": Text(
        "ninguna otra serie se mueve con ella lo bastante para decirlo",
        "no other series moves with it closely enough to tell",
    ),
    "cannot_look.only_suspects_alike": Text(
        "aparte de {series}, bajo sospecha, ninguna se mueve con ella lo bastante para decirlo",
        "but for {series}, under suspicion, none moves with it closely enough to tell",
    ),
    "quality.coverage": Text("Cobertura por mes", "Coverage by month"),
    "quality.coverage_lead": Text(
        "Días hábiles de cada serie con un valor utilizable, en los últimos {months} meses. Lo más nuevo que el plazo "
        "propio de la serie todavía no se exige.",
        "Business days of each series with a usable value, over the last {months} months. What is younger than the "
        "series' own allowance is not owed yet.",
    ),
    "quality.share": Text("con valor", "covered"),
    "quality.full": Text("completo", "complete"),
    "quality.most": Text("90% o más", "90% or more"),
    "quality.part": Text("menos de 90%", "below 90%"),
    "quality.empty": Text("nada", "nothing"),
    "quality.outside": Text("no exigido, o serie sin datos", "not owed, or a series without data"),
    "quality.cell": Text(
        "{month}: {present} de {expected} días con valor, {withdrawn} apartados",
        "{month}: {present} of {expected} days with a value, {withdrawn} withdrawn",
    ),
    "quality.cell_outside": Text("{month}: no exigido", "{month}: not owed"),
    "quality.revisions": Text("Valores que cambiaron", "Values that changed"),
    "quality.revisions_lead": Text(
        "Cambios de valores ya conocidos: {n}. Los más recientes:", "Changes of values already known: {n}. The newest:"
    ),
    "quality.revisions_none": Text(
        "Ningún valor conocido cambió hasta esta fecha.", "No value that was known has changed by this date."
    ),
    "col.feed_rule": Text("Regla", "Rule"),
    "col.against": Text("Contra", "Against"),
    "col.since": Text("Desde", "Since"),
    "col.figure": Text("Medida", "Figure"),
    "col.before": Text("Antes", "Before"),
    "col.after": Text("Después", "After"),
    "col.known": Text("Conocido", "Known"),
    "col.change_kind": Text("Qué pasó", "What happened"),
    "feed.stale_feed": Text("fuente detenida", "stale feed"),
    "feed.calendar_errors": Text("errores de calendario", "calendar errors"),
    "feed.level_break": Text("quiebre de nivel", "level break"),
    "feed.unit_drift": Text("deriva de unidad", "unit drift"),
    "feed.disagreement": Text("desacuerdo con la referencia", "disagreement with the reference"),
    "feed.date_shift": Text("fechas corridas un día", "dates off by a session"),
    "feed.premium_break": Text("premio fuera de lo usual", "unusual premium"),
    "feed_unit.sessions": Text("días", "sessions"),
    "feed_unit.business days": Text("días hábiles", "business days"),
    "feed_unit.log-likelihood ratio": Text("(log-verosimilitud)", "(log-likelihood)"),
    "revision.revised": Text("corregido por su fuente", "revised by its source"),
    "revision.replaced": Text("reemplazado por otra fuente", "replaced by another source"),
    "revision.withdrawn": Text("apartado por una regla", "withdrawn by a rule"),
    "revision.released": Text("repuesto por una persona", "put back by a person"),
    # --- method
    "method.title": Text("Método y límites", "Method and limits"),
    "method.centre": Text(
        "<strong>Centro.</strong> A estos plazos ningún modelo de punto supera de forma confiable al paseo "
        "aleatorio; el valor de este informe está en los rangos. Un centro igual al último valor no es una "
        "recomendación de esperar, es la ausencia de una visión de dirección.",
        "<strong>Centre.</strong> At these tenors no point forecast beats the random walk reliably; the value of "
        "this report is in the ranges. A centre at the last value is not advice to wait, it is the absence of a view "
        "on direction.",
    ),
    "method.ranges": Text(
        "<strong>Rangos.</strong> Un rango de 95% que promete bien falla una vez de cada veinte. Los rangos "
        "describen la volatilidad que el pasado permite anticipar; una intervención, una sorpresa de política o un "
        "cambio de régimen pueden excederlos.",
        "<strong>Ranges.</strong> A 95% range that keeps its word misses one time in twenty. The ranges describe the "
        "volatility that the past lets one anticipate; an intervention, a policy surprise or a change of regime can "
        "exceed them.",
    ),
    "method.scores": Text(
        "<strong>Evaluación.</strong> El puntaje de intervalo castiga a la vez el ancho y los valores que quedan "
        "fuera. Los pronósticos se traslapan, de modo que 60 vencimientos a 90 días son muy pocos casos "
        "independientes: por eso se muestra el n efectivo.",
        "<strong>Scoring.</strong> The interval score charges for width and for outcomes outside at once. Forecasts "
        "overlap, so that 60 maturities at 90 days are very few independent cases: hence the effective n.",
    ),
    "method.target_fixing": Text(
        "<strong>Objetivo.</strong> Se pronostica el valor oficial de la serie indicada, no el precio de mercado en "
        "un instante. Un fixing que promedia operaciones se mueve menos de un día a otro que el mercado.",
        "<strong>Target.</strong> The forecast is about the official value of the series named, not the market price "
        "at an instant. A fixing that averages trades moves less from one day to the next than the market.",
    ),
    "method.target_close": Text(
        "<strong>Objetivo.</strong> Se pronostica el cierre de mercado de la serie indicada, no el fixing oficial.",
        "<strong>Target.</strong> The forecast is about the market close of the series named, not the official fixing.",
    ),
    "method.time": Text(
        "<strong>Tiempo.</strong> Todo lo mostrado usa solo datos publicados hasta el cierre del {as_of} en Santiago.",
        "<strong>Time.</strong> Everything shown uses only data published by the end of {as_of} in Santiago.",
    ),
    "provenance.title": Text("Procedencia", "Provenance"),
    "provenance.config": Text("Configuración", "Configuration"),
    "provenance.data": Text("Datos", "Data"),
    "provenance.code": Text("Código", "Code"),
    "provenance.generated": Text("Generado", "Made"),
    "provenance.generated_value": Text("{instant}, hora de Santiago", "{instant}, Santiago time"),
    "provenance.pair": Text("Par", "Pair"),
    "disclaimer": Text(
        "Documento informativo para uso profesional. No es una oferta ni una recomendación de inversión; los "
        "pronósticos son probabilísticos y pueden no cumplirse. Quien decide debe considerar otra información y sus "
        "propios límites de riesgo.",
        "For information and professional use. It is neither an offer nor investment advice; the forecasts are "
        "probabilistic and may not come true. Whoever decides must weigh other information and their own risk "
        "limits.",
    ),
    "scroll.hint": Text("Tabla ancha: desplácese hacia el lado.", "Wide table: scroll sideways."),
    # --- markdown
    "markdown.lead": Text(
        "**{pair}** al {as_of}: último valor {last} del {date}.",
        "**{pair}** as of {as_of}: last value {last}, dated {date}.",
    ),
    "markdown.no_last": Text("**{pair}** al {as_of}: sin último valor.", "**{pair}** as of {as_of}: no last value."),
    "markdown.withheld": Text("retenido", "withheld"),
    "markdown.not_issued": Text("no emitido", "not issued"),
}
