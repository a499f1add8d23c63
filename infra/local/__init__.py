"""The whole platform on one machine, without containers: every part of it an ordinary process."""
