"""Other tools' layouts of pairs: which file is what, and how files belong together. One file a layout."""
