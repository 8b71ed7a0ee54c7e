"""A teacher's logits for its students, as they are or changed after training. No student trains here."""
