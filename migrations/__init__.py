"""Alembic's migrations, configured in pyproject.toml and run by `simmer migrate`."""
