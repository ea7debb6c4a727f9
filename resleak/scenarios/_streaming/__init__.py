"""A Django app with one model and its migration, like the system under study."""
