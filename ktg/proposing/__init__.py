"""Proposes a search space for a folder of images: what `ktg init` writes.

`found_images.py` looks at the folder, `machine.py` at this machine, `weights_here.py` at the
weights on it. `speed.py` measures a few real steps, `ranking.py` ranks the weights on a sample.
`plan.py` chooses, with `resolution.py`, `networks.py` and `teacher.py`; `opening.py` has the
arrangements to try first, with the evidence for each, and `kinds.py` what each kind of them was
worth on other data. `space_text.py` and `node_text.py` write all that as YAML with comments
(`commented_yaml.py`).
"""
