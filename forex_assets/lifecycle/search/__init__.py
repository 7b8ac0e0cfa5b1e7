"""Searching for a better configuration: spaces by capability, one objective, engines, a child process with limits."""
