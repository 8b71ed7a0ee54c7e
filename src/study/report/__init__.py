"""A study's pages for readers: the report, its charts, the page of `dvc plots`. Only stages import this room."""
