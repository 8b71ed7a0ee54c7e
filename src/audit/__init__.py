"""Audits: a unit of a finished study redone with the code at hand, and compared with the records in git."""
