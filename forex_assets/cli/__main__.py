"""``python -m forex_assets.cli``."""

from forex_assets.cli import main

main()
