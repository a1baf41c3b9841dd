"""The OpenAPI document as a page to read; nothing on it comes from elsewhere."""
