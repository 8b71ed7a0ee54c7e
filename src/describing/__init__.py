"""Descriptions of a task's data, before anything is trained on them."""
