"""The device, threads and random numbers of a run. Code about losses and models does not belong here."""
