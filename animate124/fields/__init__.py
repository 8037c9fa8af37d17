"""4D fields: a function from (position, time) to density and colour."""
