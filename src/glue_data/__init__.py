"""The files that named studies read from `glue-data/`, from official copies of GLUE and of ChaosNLI."""
