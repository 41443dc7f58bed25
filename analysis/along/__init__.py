"""A run along its training: the epochs measured between start and end (`training`), what is found
(`results`), and its words (`text`)."""
