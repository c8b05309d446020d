"""A search: opened, trained, shown, gone on with."""
