"""Face rigs: from motion values to vertices, pictures and GLB files."""
