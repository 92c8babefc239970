"""Sick training runs to diagnose: the patients, their charts and their diagnoses."""
