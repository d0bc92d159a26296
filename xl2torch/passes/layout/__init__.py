"""Passes that decide how parameters lie in memory."""
