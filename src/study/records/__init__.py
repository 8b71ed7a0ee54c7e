"""A task's records, which git keeps: they are collected, read and scored here. No arms are compared here."""
