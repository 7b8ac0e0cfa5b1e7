"""The code location: ``dagster dev -m forex_assets.definitions``. The only module with a module-level Definitions."""

from typing import Any

from forex_assets.collector import look_less_often


def _load() -> Any:
    """Build the definitions; what they import is imported here, after the collector was told to wait."""
    look_less_often()
    from forex_assets.defs.build import build_definitions
    from forex_assets.ops.secrets import install_redaction
    from forex_assets.settings import load_settings

    install_redaction()
    return build_definitions(load_settings())


defs = _load()
