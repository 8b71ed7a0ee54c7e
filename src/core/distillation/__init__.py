"""A teacher's logits for its students, unchanged or changed after training. No student trains here."""
