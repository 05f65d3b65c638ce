"""The ready-made jobs: exports, pictures, texts of files, warm caches, clean-up. One kind a file, no stubs.

Each takes ids and plain values, says how far it is, stops when it is asked to, and goes on where a lost worker was.
What they work on, the product registers (`sources`, `warm`, `clean_up`); docs/handlers.md lists them with their tests.
"""
