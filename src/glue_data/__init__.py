"""The files in `glue-data/` that named studies read, made from official copies of GLUE and ChaosNLI."""
