"""HTTP: authentication, errors, and one package for each dialect."""
