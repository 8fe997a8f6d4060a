"""Alert rules: one file a kind. A kind turns the stores' data into observations; the machine does the rest."""
