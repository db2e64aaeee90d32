"""The tables of the four papers, as data with their source, and our measurements beside them."""
