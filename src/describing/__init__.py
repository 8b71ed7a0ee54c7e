"""What a task's data are like, before anything is trained on them."""
