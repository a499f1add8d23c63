"""The in-app inbox: what people are told, counted for each, and told live to whoever watches."""
