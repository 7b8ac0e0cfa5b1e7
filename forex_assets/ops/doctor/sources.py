"""Where data would come from: the sources of each pair, and whether the live ones can be reached."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from forex_assets.errors import ConfigError
from forex_assets.ops.doctor.findings import Finding, State
from forex_assets.ops.secrets import FILE_SUFFIX, KNOWN_SECRETS
from forex_assets.settings import PairSpec, Settings

if TYPE_CHECKING:
    from forex_assets.market.contract import Source

_CONNECT_TIMEOUT_S = 2.0
_ANSWER_TIMEOUT_S = 4.0
_ONLINE = "unset FOREX_OFFLINE to let runs ask for the newest values."


def sources(settings: Settings, now: dt.datetime, env: Mapping[str, str]) -> list[Finding]:
    """Return what is asked for each pair, and which pairs lack a source."""
    built = _build_sources(settings, now, env)
    folder = "" if settings.data_dir is None else f"; folder: {settings.data_dir}"
    mode = "off (FOREX_OFFLINE=1)" if settings.offline else "on"
    found = [Finding("sources", "live providers", "warn" if settings.offline else "ok", f"{mode}{folder}", _ONLINE)]
    served = 0
    for pair in settings.pairs.values():
        finding, has_target = _pair_sources(settings, pair, built)
        served += has_target
        found.append(finding)
    if not served:
        remedy = "set FOREX_DATA_DIR, or reinstall the package with its embedded series."
        found.append(Finding("sources", "all pairs", "fail", "no pair has a source for its target", remedy))
    return found


def _build_sources(settings: Settings, now: dt.datetime, env: Mapping[str, str]) -> dict[str, Source]:
    from forex_assets.market.http.gateway import HttpGateway
    from forex_assets.market.sources import build_sources

    gateway = HttpGateway(settings.platform.providers.http, cache_dir=None, now=now)
    try:
        return build_sources(settings, now=now, gateway=gateway, environ=env)
    except ConfigError:
        # Already a finding of its own under credentials; what is configured without them is still worth telling.
        public = {name: value for name, value in env.items() if name.removesuffix(FILE_SUFFIX) not in KNOWN_SECRETS}
        return build_sources(settings, now=now, gateway=gateway, environ=public)


def _pair_sources(settings: Settings, pair: PairSpec, built: Mapping[str, Source]) -> tuple[Finding, bool]:
    """Return what is asked for a pair, and whether anything serves its target."""
    reasons: dict[str, str] = {}

    def configured(series: str) -> list[str]:
        names = []
        for name in pair.chains[series]:
            why = built[name].not_configured(settings.series[series]) if name in built else "no such source"
            if why is None:
                names.append(name)
            elif series == pair.target.series:
                reasons[name] = why
        return names

    target = configured(pair.target.series)
    missing = [name for name in pair.drivers if not configured(name)]
    not_asked = "".join(f"; {name}: {why}" for name, why in reasons.items())
    if not target:
        detail = f"no source for its target {pair.target.series}{not_asked}"
        return Finding("sources", pair.id, "warn", detail, "set FOREX_DATA_DIR to a folder that has it."), False
    detail = f"{pair.target.series} from {', '.join(target)}{not_asked}"
    if missing:
        detail += f"; {len(missing)} of {len(pair.drivers)} drivers have no source: {', '.join(missing)}"
        remedy = "optional: set FOREX_DATA_DIR to a folder that has them."
        return Finding("sources", pair.id, "warn", detail, remedy), True
    return Finding("sources", pair.id, "ok", detail), True


def network(settings: Settings) -> list[Finding]:
    """Return which live providers can be reached, all tried at once."""
    if settings.offline:
        return [Finding("network", "live providers", "warn", "not asked: FOREX_OFFLINE=1", _ONLINE)]
    urls = settings.platform.providers.addresses()
    answers: dict[str, tuple[State, str]] = {}

    def ask(name: str) -> Callable[[], None]:
        def run() -> None:
            answers[name] = _reach(urls[name])

        return run

    # Daemon threads: a resolver that hangs must hold up neither the answer nor the end of the process.
    threads = {name: threading.Thread(target=ask(name), daemon=True, name=f"doctor-{name}") for name in urls}
    deadline = time.monotonic() + _CONNECT_TIMEOUT_S + _ANSWER_TIMEOUT_S
    for thread in threads.values():
        thread.start()
    for thread in threads.values():
        thread.join(max(0.0, deadline - time.monotonic()))
    remedy = "nothing, if that is normal here: runs go on with local sources. Else check network and proxy settings."
    found = []
    for name in urls:
        state, detail = answers.get(name, ("warn", "no answer in time"))
        found.append(Finding("network", name, state, detail, remedy))
    return found


def _reach(url: str) -> tuple[State, str]:
    import httpx

    timeout = httpx.Timeout(_ANSWER_TIMEOUT_S, connect=_CONNECT_TIMEOUT_S)
    started = time.monotonic()
    host = httpx.URL(url).host
    try:
        with httpx.Client(timeout=timeout, follow_redirects=False) as client, client.stream("GET", url) as answer:
            status = answer.status_code
    except httpx.HTTPError as error:
        return "warn", f"{host} cannot be reached: {str(error) or type(error).__name__}"
    return "ok", f"{host} answered {status} in {1000 * (time.monotonic() - started):.0f} ms"
