"""Can a checkpoint be made smaller or faster without harm? (spec E25, L16) Tried, measured, and mostly declined.

Each variant forecasts the same origins with the same random numbers as the checkpoint in full precision. It is accepted
only if its CRPS, its coverage and its latency hold the budgets; otherwise the checkpoint stays as it is, and why is
said. Models without a network have nothing to quantise: a stated no-op.
"""

from __future__ import annotations

import copy
import importlib.util
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from forex_assets.arrays import Floats
from forex_assets.errors import DataError
from forex_assets.evaluation.scores import crps_from_quantiles
from forex_assets.forecasting.chronos.checkpoint import MODEL_OF, Checkpoint, load, using_loaded
from forex_assets.forecasting.contract import OriginRandom
from forex_assets.forecasting.origins import Origins, make_origins
from forex_assets.forecasting.price_history import PriceHistory
from forex_assets.forecasting.registry import get_model, model_names, resolve_parameters

HORIZON_DAYS = 15
REPEATS = 2


@dataclass(frozen=True)
class Budgets:
    """What a variant must hold to be accepted."""

    crps_ratio: float = 1.005
    coverage_points: float = 1.0
    speedup: float = 1.2
    latency_ms: float = 1000.0


@dataclass(frozen=True)
class Row:
    """What one variant did; numbers are NaN where it could not be tried."""

    variant: str
    ms_per_origin: float
    speedup: float
    crps_ratio: float
    coverage_95: float
    accepted: bool
    reason: str

    def cells(self) -> tuple[str, ...]:
        """Return the cells of a table."""
        numbers = (
            f"{value:.{digits}f}" if np.isfinite(value) else "-"
            for value, digits in (
                (self.ms_per_origin, 2),
                (self.speedup, 2),
                (self.crps_ratio, 4),
                (100 * self.coverage_95, 1),
            )
        )
        return (self.variant, *numbers, "accepted" if self.accepted else "no-op", self.reason)


@dataclass(frozen=True)
class Optimisation:
    """Every variant tried, and the conclusion in a sentence."""

    subject: str
    rows: tuple[Row, ...]
    conclusion: str

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {"subject": self.subject, "rows": [asdict(row) for row in self.rows], "conclusion": self.conclusion}


def optimise(
    subject: str,
    *,
    origins: int = 60,
    histories: Mapping[str, PriceHistory] | None = None,
    training_cutoff: str = "",
    budgets: Budgets = Budgets(),
) -> Optimisation:
    """Try every variant of a checkpoint on origins after its training cutoff.

    Parameters
    ----------
    subject:
        Folder of a checkpoint, or the name of a model.
    origins:
        Origins over all histories.
    histories:
        What to forecast; default: three pairs of the panel.
    training_cutoff:
        Of a checkpoint without a card, YYYY-MM-DD.
    budgets:
        What must hold.

    Raises
    ------
    DataError
        When there is no origin with an outcome after the cutoff.
    """
    if subject in model_names() and "checkpoint" not in get_model(subject).capabilities.needs:
        reason = f"Model '{subject}' has no network: there is nothing to quantise, prune or compile. No-op."
        return Optimisation(subject, (), reason)
    base = load(subject, "float32")
    cases = _cases(base, histories or _panel(), origins, training_cutoff)
    reference, ms = _forecast(base, cases, training_cutoff)
    truth = np.concatenate([actual for _, _, actual in cases])
    crps = float(crps_from_quantiles(truth, reference).mean())
    covered = _coverage(truth, reference)
    rows = [Row("float32 (as it is)", ms, 1.0, 1.0, covered, True, "the reference")]
    for name, make in _VARIANTS.items():
        variant = make(base)
        if isinstance(variant, str):
            rows.append(Row(name, np.nan, np.nan, np.nan, np.nan, False, variant))
            continue
        quantiles, taken = _forecast(variant, cases, training_cutoff)
        ratio = float(crps_from_quantiles(truth, quantiles).mean()) / crps
        found = _coverage(truth, quantiles)
        reason = _why_not(ratio, found - covered, ms / taken, taken, budgets)
        rows.append(Row(name, taken, ms / taken, ratio, found, not reason, reason or "all budgets hold"))
    chosen = max((row for row in rows if row.accepted), key=lambda row: row.speedup)
    conclusion = (
        f"Use {chosen.variant}: {chosen.speedup:.2f} times faster, CRPS ratio {chosen.crps_ratio:.4f}."
        if chosen is not rows[0]
        else f"No-op: no variant holds every budget; {base.location} stays as it is ({ms:.2f} ms an origin)."
    )
    return Optimisation(base.location, tuple(rows), conclusion)


def _why_not(ratio: float, shift: float, speedup: float, ms: float, budgets: Budgets) -> str:
    """Return which budget a variant breaks, or an empty text."""
    broken = []
    if not ratio <= budgets.crps_ratio:
        broken.append(f"CRPS ratio {ratio:.4f} above {budgets.crps_ratio}")
    if not abs(shift) * 100 <= budgets.coverage_points:
        broken.append(f"coverage moves by {100 * shift:+.1f} points, {budgets.coverage_points} allowed")
    if not speedup >= budgets.speedup:
        broken.append(f"{speedup:.2f} times faster, {budgets.speedup} needed")
    if not ms <= budgets.latency_ms:
        broken.append(f"{ms:.0f} ms an origin, {budgets.latency_ms:.0f} allowed")
    return "; ".join(broken)


def _panel() -> dict[str, PriceHistory]:
    from forex_assets.forecasting.panel.prices import ecb_price_history

    return {currency: ecb_price_history(currency) for currency in ("EUR", "ZAR", "MXN")}


Case = tuple[PriceHistory, Origins, Floats]


def _cases(base: Checkpoint, histories: Mapping[str, PriceHistory], count: int, declared: str) -> list[Case]:
    cutoff = str(base.card.data_through) if base.card else declared
    cases: list[Case] = []
    each = max(1, count // len(histories))
    for history in histories.values():
        last = history.event_date[-1]
        first = np.datetime64(cutoff, "D") if cutoff else history.event_date[0]
        days = history.calendar.sessions(first, last - np.timedelta64(HORIZON_DAYS + 10, "D"))
        if not len(days):
            continue
        origins = make_origins(
            history,
            days[-5 * each :: 5],
            HORIZON_DAYS,
            min_values=get_model(MODEL_OF[base.family]).capabilities.min_history,
            unusable="drop",
        )
        actual, _ = history.outcomes(origins.target_date)
        if len(origins) and np.isfinite(actual).any():
            keep = np.flatnonzero(np.isfinite(actual))
            kept = make_origins(history, origins.as_of[keep], HORIZON_DAYS)
            cases.append((history, kept, actual[keep]))
    if not cases:
        raise DataError(
            f"No history has a matured origin after {cutoff or 'an unknown training cutoff'}.",
            remedy="use a checkpoint trained on an earlier past.",
        )
    return cases


def _forecast(checkpoint: Checkpoint, cases: list[Case], declared: str) -> tuple[Floats, float]:
    """Return the quantiles at the targets, and milliseconds of processor time an origin (best of two)."""
    model = get_model(MODEL_OF[checkpoint.family])
    params = resolve_parameters(model, {"training_cutoff": declared})
    best = np.inf
    parts: list[Floats] = []
    with using_loaded(checkpoint):
        for _ in range(REPEATS):
            parts, started = [], time.process_time()
            for history, origins, _ in cases:
                rng = OriginRandom(history.pair, origins.horizon_days, model.name)
                parts.append(model.predict(history, origins, origins.steps[:, None], params, rng).quantiles[:, 0])
            best = min(best, time.process_time() - started)
    count = sum(len(origins) for _, origins, _ in cases)
    return np.concatenate(parts), 1000.0 * best / count


def _coverage(truth: Floats, quantiles: Floats) -> float:
    return float(np.mean((truth >= quantiles[:, 0]) & (truth <= quantiles[:, -1])))


def _copy(base: Checkpoint) -> Checkpoint:
    return replace(base, pipeline=copy.deepcopy(base.pipeline))


def _bf16(base: Checkpoint) -> Checkpoint | str:
    import torch

    made = _copy(base)
    made.pipeline.inner_model.to(torch.bfloat16)
    return made


def _int8(base: Checkpoint) -> Checkpoint | str:
    import warnings

    import torch

    if base.family == "chronos2":
        return "Chronos-2 reads the dtype of its linear layers; quantised ones have none"
    made = _copy(base)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantise: Any = torch.ao.quantization.quantize_dynamic
        quantise(made.pipeline.inner_model, {torch.nn.Linear}, torch.qint8, inplace=True)
    return made


def _pruned(base: Checkpoint) -> Checkpoint | str:
    """Set the smallest 30% of every linear layer's weights to zero."""
    import torch
    from torch.nn.utils import prune as torch_prune

    prune: Any = torch_prune
    made = _copy(base)
    for module in made.pipeline.inner_model.modules():
        if isinstance(module, torch.nn.Linear):
            prune.l1_unstructured(module, "weight", amount=0.3)
            prune.remove(module, "weight")
    return made


def _compiled(base: Checkpoint) -> Checkpoint | str:
    import shutil

    if base.family != "bolt":
        return "shapes grow with every decoded step or differ by context: each would be compiled anew"
    if not (shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")):
        return "no C++ compiler on this machine"
    import torch

    made = _copy(base)
    made.pipeline.model.encoder = torch.compile(made.pipeline.model.encoder, dynamic=True)
    return made


def _onnx(base: Checkpoint) -> Checkpoint | str:
    missing = [name for name in ("onnx", "onnxscript", "onnxruntime") if importlib.util.find_spec(name) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    return "the decoder's caches grow with every step; exporting it would fix the tenor"


_VARIANTS: dict[str, Callable[[Checkpoint], Checkpoint | str]] = {
    "bf16": _bf16,
    "int8 (dynamic)": _int8,
    "pruned 30%": _pruned,
    "torch.compile": _compiled,
    "ONNX": _onnx,
}
