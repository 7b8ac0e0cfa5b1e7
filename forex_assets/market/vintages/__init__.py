"""Vintages: what was retrieved when, kept for good, and how values changed afterwards.

``recording`` notes every payload a source reads; ``pack`` and ``archive`` keep them, content-addressed and as
differences, under ``<home>/raw``; ``revisions`` reads the stored observations as of any moment and reports what
changed; ``releases`` lets a person put a quarantined value back; ``replay`` makes the observations again from the
payloads. The rows themselves live in table ``observations``, one row per change.
"""
