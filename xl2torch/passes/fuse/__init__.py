"""Passes that join what the regions of a sheet cut apart."""
