"""Tests of the watching side."""
