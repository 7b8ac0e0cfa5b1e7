"""Tests of the vintages: payloads kept, revisions reported, values released, observations made again."""
