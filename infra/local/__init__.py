"""The whole platform on one machine, without containers: boxes, services, sidecars and gateway as ordinary processes."""
