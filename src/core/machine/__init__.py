"""What a run computes on: its device, threads and random numbers. No loss and no model is known here."""
