"""The domain services and the table of every process (`topology`)."""
