"""Model servers: which one serves a model, and how each protocol is spoken."""
