"""Searches a space for its best graph; the only room that knows Ray and Optuna.

Start at `ktg.searching.run.search`. Nothing is imported here: workers need `ktg.searching.worker`
alone.
"""
