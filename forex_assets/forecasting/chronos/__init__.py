"""Chronos as a challenger: checkpoints, sampling, quantiles, training, the search grid and what makes it faster.

Here: everything that touches a Chronos checkpoint. Not here: the models of the registry, which are thin
(:mod:`forex_assets.forecasting.models.chronos`). ``import chronos`` costs three seconds, so torch, transformers and
chronos are imported inside the functions that need them. Entry point: :func:`.checkpoint.load`.
"""
