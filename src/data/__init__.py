"""From raw archives, hub data sets and local files to prepared splits."""
