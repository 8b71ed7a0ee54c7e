"""From finished runs to tables, paired comparisons and figures."""
