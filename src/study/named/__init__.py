"""Named studies: their files, how DVC runs them, and how the workspace comes back. No result is judged here."""
