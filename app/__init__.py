"""Simmer: background mode for any model API. Empty on purpose: workers import `app.*` without Flask."""
