"""Web push: browsers that asked to be told, and what is sent to them through their vendors' services."""
