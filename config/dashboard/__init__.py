"""The admin's first page: its parts, their figures in words, and the views by which it refreshes itself."""
