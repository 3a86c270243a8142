"""Images with questions: published data sets, scenes, and the rows that trainers read."""
