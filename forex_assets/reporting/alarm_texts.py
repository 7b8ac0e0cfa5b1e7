"""What each rule is called, and what its alarm means and asks for, in plain Spanish and English."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from forex_assets.reporting.localize import Language, Localizer

#: Rule → name: Spanish, English.
NAMES: dict[str, tuple[str, str]] = {
    "skill": ("peor que el paseo aleatorio", "worse than the random walk"),
    "evidence": ("evidencia acumulada contra el modelo", "evidence against the model"),
    "calibration": ("ancho de los intervalos", "width of the intervals"),
    "bias": ("sesgo", "bias"),
    "volatility": ("volatilidad inesperada", "unexpected volatility"),
    "location": ("cambio del promedio", "shift of the mean"),
    "scale": ("cambio del tamaño", "change of size"),
    "distribution": ("cambio de forma", "change of shape"),
    "persistence": ("cambio de persistencia", "change of persistence"),
    "link": ("vínculo con el cobre", "link with copper"),
    "high_vol": ("alta volatilidad", "high volatility"),
    "copper_shock": ("sacudida del cobre", "copper shock"),
    "bcch_meeting": ("reunión del Banco Central", "central bank meeting"),
    "intervention": ("intervención", "intervention"),
    "completeness": ("faltan datos", "missing values"),
    "range": ("valor fuera de rango", "value out of range"),
    "correlation_change": ("cambió la correlación", "correlation changed"),
    "importance_drift": ("cambió la importancia", "importance changed"),
    "forecast_change": ("el pronóstico se movió", "the forecast moved"),
    "event_alert": ("aviso de evento", "event alert"),
    "monitor_failed": ("un monitor falló", "a monitor failed"),
    "price_day": ("salto diario del precio", "daily move of the price"),
    "price_3day": ("salto de tres días", "three-day move"),
    "volatility_week": ("volatilidad de la semana", "volatility of the week"),
    "volatility_mean": ("volatilidad contra su media", "volatility against its mean"),
    "price_range": ("rango intradía", "intraday range"),
    "copper_day": ("salto diario del cobre", "daily move of copper"),
    "copper_week": ("movimiento semanal del cobre", "weekly move of copper"),
    "dxy_high": ("dólar global alto", "dollar index high"),
    "dxy_low": ("dólar global bajo", "dollar index low"),
    "dxy_day": ("salto del dólar global", "move of the dollar index"),
    "vix_level": ("nivel del VIX", "level of the VIX"),
    "vix_day": ("salto del VIX", "jump of the VIX"),
    "policy_rate": ("cambio de la TPM", "change of the policy rate"),
    "risk_gauge": ("apetito por riesgo", "appetite for risk"),
}

#: Rule → what its alarm means and what to do: Spanish, English.
MEANING: dict[str, tuple[str, str]] = {
    "skill": (
        "El modelo pronostica peor que suponer que el precio no se mueve. Compare con el modelo base y reentrene.",
        "The model forecasts worse than assuming the price stays put. Compare with the baseline model and retrain.",
    ),
    "evidence": (
        "La evidencia acumulada de que el modelo es peor que el paseo aleatorio es fuerte, se mire cuando se mire.",
        "The evidence gathered so far says the model is worse than the random walk, however often one looks.",
    ),
    "calibration": (
        "Los intervalos son demasiado angostos o anchos, más de lo que explica el mercado. Vuelva a calibrar el ancho.",
        "Intervals are too narrow or too wide, more than the market explains. Calibrate their width again.",
    ),
    "bias": (
        "Los resultados caen siempre hacia el mismo lado del pronóstico. Revise los determinantes y el centro.",
        "Outcomes keep falling on one side of the forecast. Review the drivers and the centre.",
    ),
    "volatility": (
        "El mercado se mueve más de lo que explica su propia agitación. Use los intervalos con cautela unos días.",
        "The market moves more than its own clustering explains. Use the intervals with care for some days.",
    ),
    "location": (
        "El promedio de la serie cambió. Con un evento conocido, espere; sin él, reentrene.",
        "The average of the series has changed. With a known event, wait; without one, retrain.",
    ),
    "scale": (
        "El tamaño de los movimientos cambió. Revise límites y coberturas antes que el modelo.",
        "The size of the moves has changed. Review limits and hedges before the model.",
    ),
    "distribution": (
        "La distribución cambió de forma. Mire desde cuándo con «forex drift show».",
        "The distribution has changed. See since when with “forex drift show”.",
    ),
    "persistence": (
        "Los días seguidos se parecen más (o menos) que antes. Confirme que la fuente no repite valores.",
        "Days resemble their neighbours more (or less). Confirm that the source repeats no values.",
    ),
    "link": (
        "El vínculo entre el cobre y el dólar cambió. No use el cobre como cobertura sin mirarlo.",
        "The link between copper and the dollar has changed. Do not hedge with copper unseen.",
    ),
    "high_vol": (
        "Mercado en alta volatilidad. Revise límites y coberturas; no reentrene por esto.",
        "The market is in high volatility. Review limits and hedges; do not retrain for this.",
    ),
    "copper_shock": (
        "Un movimiento del cobre que el peso siente. Cubra antes la exposición corta.",
        "A copper move that the peso feels. Hedge short exposure first.",
    ),
    "bcch_meeting": (
        "Reunión de política monetaria cerca. Deje margen para el día siguiente.",
        "A monetary policy meeting is near. Leave room for the next day.",
    ),
    "intervention": (
        "El Banco Central interviene. El pasado dice poco: amplíe el margen usted mismo.",
        "The central bank is intervening. The past says little: widen your own margin.",
    ),
    "completeness": (
        "Faltan datos en la serie. Mire «forex data status» y reponga la fuente.",
        "Values of the series are missing. See “forex data status” and restore the source.",
    ),
    "range": (
        "Un valor imposible o muy raro: casi siempre la unidad o la fuente. Revise la cuarentena.",
        "An impossible or very rare value: nearly always unit or source. Look at the quarantine.",
    ),
    "correlation_change": (
        "La serie dejó de moverse con el precio como antes. Confirme fechas y fuente antes de creer en el mercado.",
        "The series no longer moves with the price as before. Check dates and source before believing the market.",
    ),
    "importance_drift": (
        "El modelo se apoya en otras series que antes. Mire qué fuente cambió.",
        "The model leans on other series than before. See which source has changed.",
    ),
    "forecast_change": (
        "El pronóstico se movió mucho desde el día anterior. Vea qué cambió en los datos antes de actuar.",
        "The forecast moved much since the day before. See what changed in the data before acting.",
    ),
    "event_alert": (
        "El día merece un aviso: una alarma alta o dos medianas. Las razones dicen cuáles.",
        "The day is worth a message: one high alarm or two medium ones. The reasons say which.",
    ),
    "monitor_failed": (
        "Un monitor no pudo trabajar con lo que recibió. Lo que vigila no se sabe; lea la razón.",
        "A monitor could not work on what it was given. What it watches is unknown; read the reason.",
    ),
    "shock": (
        "Un movimiento mayor que lo usual en esa serie. Confirme el valor con otra fuente («forex data status»).",
        "A move larger than that series usually makes. Confirm the value with another source (“forex data status”).",
    ),
    "unknown_persists": (
        "La regla lleva demasiado tiempo sin poder juzgar: es una alarma por sí misma. Reponga el dato que falta.",
        "The rule has not been able to judge for too long: an alarm of its own. Restore the data it lacks.",
    ),
    "other": ("Vea la razón al lado.", "See the reason beside it."),
}
#: Unit of an effect → its name in Spanish.
UNITS_ES: dict[str, str] = {
    "sigma": "sigmas",
    "log variance": "de log-varianza",
    "log evidence": "de log-evidencia",
    "log e-value": "de log-valor e",
    "share of CRPS": "del CRPS",
    "share of RMSE": "del RMSE",
    "correlation": "de correlación",
    "ratio": "veces",
    "log ratio": "de log-razón",
    "log": "de log",
    "business days": "días hábiles",
    "days": "días",
    "findings": "hallazgos",
    "probability": "de probabilidad",
    "distance": "de distancia",
    "percent per year": "puntos de % anual",
    "index": "de índice",
}
#: Code of why a rule could not judge → the reason in Spanish; in English it is the finding's own.
CANNOT_TELL_ES: dict[str, str] = {
    "no_limits": "el perfil no tiene límites para el horizonte {horizon}",
    "none_matured": "ningún pronóstico a {horizon} ha vencido todavía",
    "few_matured": "hay {have} de los {need} pronósticos vencidos que necesita",
    "maturing_stopped": "ningún pronóstico vence desde hace {days} días hábiles; el último venció el {newest}",
    "scores_missing": "{share} de los pronósticos de la ventana no tiene una nota utilizable",
    "error_not_finite": "un error no es un número finito",
    "no_forecast": "no hay un pronóstico a {horizon} guardado para el {day}",
    "no_forecast_before": "no hay un pronóstico del día anterior con el cual comparar",
    "no_price": "no se conoce ningún precio",
    "price_old": "el precio más reciente tiene {days} días hábiles",
    "price_stopped": "el precio dejó de llegar",
    "price_still": "el precio no se mueve",
    "prices_few_or_still": "{have} precios son muy pocos, o no se mueven",
    "none_of_series": "ninguna de las series tiene valores: {names}",
    "no_value": "no se conoce ningún valor",
    "not_known_yet": "la serie todavía no se conocía",
    "series_young": "la serie es demasiado nueva",
    "series_stopped": "la serie dejó de llegar",
    "series_short_or_stopped": "{series}: serie demasiado corta, o dejó de llegar",
    "series_old": "{series}: el valor más reciente tiene {days} días hábiles",
    "series_still": "una de las series no se mueve",
    "value_not_finite": "su valor más reciente no es un número",
    "few_values": "muy pocos valores",
    "values_few_or_still": "muy pocos valores, o ninguno se mueve",
    "no_statistic": "el estadístico no existe",
    "few_observations": "hay {have} de las {need} observaciones que necesita",
    "observation_old": "su observación más reciente tiene {days} días hábiles",
    "observations_missing": "faltan demasiadas observaciones, o todas son iguales",
    "few_common_returns": "menos de {need} retornos en fechas comunes",
    "few_common_days": "muy pocos días en común para medir el vínculo",
    "few_series": "menos de dos series con {need} retornos hasta ahora",
    "few_fresh_series": "solo {have} de sus series están al día",
    "no_copper": "ninguna serie del cobre tiene valores",
    "no_meeting": "no se conoce la próxima reunión de política monetaria: la tabla configs/calendars/bcch_meetings.csv "
    "está vencida",
    "no_good_run": "ninguna ejecución ha terminado bien",
    "no_memory": "ninguna ejecución registró su memoria",
    "few_runs": "{have} ejecuciones en {days} días son muy pocas ({need} necesarias, y otras tantas antes)",
    "monitor_failed": "el monitor no pudo juzgar: {error}",
}
_PERSISTS = "_unknown_persists"


def rule_name(rule: str, language: Language) -> str:
    """Return a rule's name in words, or the name itself where it has none."""
    which = 0 if language == "es" else 1
    plain = rule.removesuffix(_PERSISTS)
    name = NAMES[plain][which] if plain in NAMES else plain.replace("_", " ")
    silent = ("sin juicio: ", "cannot judge: ")[which]
    return silent + name if rule.endswith(_PERSISTS) else name


def meaning(monitor: str, rule: str, language: Language) -> str:
    """Return what an alarm means and what to do about it."""
    which = 0 if language == "es" else 1
    if rule.endswith(_PERSISTS):
        return MEANING["unknown_persists"][which]
    return MEANING.get(rule, MEANING.get(monitor, MEANING["other"]))[which]


def why_blind(stored: str, loc: Localizer) -> str:
    """Return why a rule could not judge, in Spanish, from the code and facts stored with its finding."""
    said = json.loads(stored)
    forms: Mapping[str, Callable[[Any], str]] = {
        "share": lambda share: loc.percent(share, 0),
        "newest": loc.date,
        "day": loc.date,
        "series": lambda name: loc.text_or(f"series.{name}", name),
        "names": lambda names: ", ".join(loc.text_or(f"series.{name}", name) for name in names.split(", ")),
    }
    facts = {
        name: forms[name](value) if name in forms else loc.count(value) if isinstance(value, int) else str(value)
        for name, value in said["facts"].items()
    }
    return CANNOT_TELL_ES[said["code"]].format(**facts)


def unit_name(unit: str, language: Language) -> str:
    """Return a unit in the reader's language."""
    return UNITS_ES.get(unit, unit.replace(" per ", " por ")) if language == "es" else unit
