"""The figures of a study, as PNG files and as data for `dvc plots`. No statistic is computed here."""
