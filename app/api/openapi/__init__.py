"""The OpenAPI document: made from the routes' declarations, the models that validate, and what the API shows."""
