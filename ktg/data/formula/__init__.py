"""Draws labelled pictures by formulas, to pretrain on: as a data set, or into a folder."""
