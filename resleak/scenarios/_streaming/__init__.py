"""A Django app with one model and its migration, as the system under study has it."""
