"""What makes a run faster or smaller. Nothing here may change a result but by rounding or the draw of dropout."""
