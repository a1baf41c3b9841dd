"""Everything the API sends, as models: for the document, and for the tests that hold real answers against it."""
