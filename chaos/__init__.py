"""A seeded fault harness: real stages in real processes, faults at named points, an oracle apart from the pipeline.

make chaos               20 seeds; SEEDS=200 for more, SEED=17 for one alone, MUTANTS=1 for the check of the harness
"""
