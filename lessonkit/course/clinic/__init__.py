"""Sick training runs to diagnose: the patients and their diagnoses."""
