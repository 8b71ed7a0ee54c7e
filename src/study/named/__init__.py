"""Named studies: their files, their runs by DVC, and the restored workspace. No result is judged here."""
