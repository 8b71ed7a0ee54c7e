"""The states of a study's runs, from their traces on disk."""
