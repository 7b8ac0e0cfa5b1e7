"""The code location: ``dagster dev -m forex_assets.definitions``. The only module with a module-level Definitions."""

from forex_assets.defs.build import build_definitions
from forex_assets.ops.secrets import install_redaction
from forex_assets.settings import load_settings

install_redaction()
defs = build_definitions(load_settings())
