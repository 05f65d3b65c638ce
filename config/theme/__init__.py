"""How the admin looks and what may run in it: the theme's options, its sidebar, and the classes that pages build on."""
