"""The verbs of ./tulle, for people and CI."""
