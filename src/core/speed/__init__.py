"""Ways to make a run faster or smaller. They change results only by rounding and by the draw of dropout."""
