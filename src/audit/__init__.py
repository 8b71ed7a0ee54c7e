"""Audits: redo a unit of a finished study with the present code, and compare it with the records in git."""
