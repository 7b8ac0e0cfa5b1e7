"""The watching side: pure monitors over frames as they were known, each returning findings."""
