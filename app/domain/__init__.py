"""What Simmer is about, in the standard library's terms alone."""
