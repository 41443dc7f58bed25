"""One run's folder as its report, and several runs side by side: what is read (`records`), what is
found (`results`, made by `report` and `comparison`), and its words (`text`, `in_short`)."""
