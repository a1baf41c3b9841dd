"""What `simmer doctor` looks at. A check is a function from the site to its findings; none changes anything."""
