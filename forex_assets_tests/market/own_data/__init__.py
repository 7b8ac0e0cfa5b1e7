"""Tests of files of one's own: what is understood, what is asked, what is written."""
