"""What the desk gets: members' quantiles averaged with weights that were learned on the panel's matured losses.

Here live the weights (:mod:`.weights`), the gate that lets a model into the mean and out again (:mod:`.gate`), the
pooled calibration with its rule of evidence (:mod:`.calibration`), the tables of all three by month (:mod:`.artefacts`)
and how they are learned from the panel (:mod:`.learn`). The model that applies them is
:class:`forex_assets.forecasting.models.ensemble.Ensemble`. One entry point for learning: :func:`.learn.learn_ensemble`.
"""
