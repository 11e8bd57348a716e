"""Thresholds that keep a budget of alerts a day, tried on history."""
