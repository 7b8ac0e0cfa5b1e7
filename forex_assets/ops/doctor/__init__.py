"""The platform's self-diagnosis behind ``forex doctor``.

Start at :func:`forex_assets.ops.doctor.diagnosis.diagnose`. One module per thing that is looked at (:mod:`.program`,
:mod:`.configuration`, :mod:`.home`, :mod:`.sources`, :mod:`.stored`; :mod:`.deep` reads every stored file), each a
function that returns findings; :mod:`.findings` is what a finding is and how it is shown.
"""
