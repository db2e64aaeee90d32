"""What a dataset holds: in words (`describe`) and as a picture (`preview`)."""
