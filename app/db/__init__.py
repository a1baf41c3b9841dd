"""PostgreSQL: the schema, and every query on it."""
