"""Tests of change detection."""
