"""Istio's objects."""
