"""Searches a space for its best graph; the only room that knows Ray and Optuna.

Start at `ktg.search.run.search`. Nothing is imported here: workers need `ktg.search.worker` alone.
"""
