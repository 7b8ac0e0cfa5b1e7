"""Shim for setuptools. Everything is in pyproject.toml but this: configs/ ships as the package forex_assets.configs."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["forex_assets", "forex_assets.*"]), "forex_assets.configs"],
    package_dir={"forex_assets.configs": "configs"},
)
