"""Golden records: numbers measured on the authors' networks, and our networks held against them."""
