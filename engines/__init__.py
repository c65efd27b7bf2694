"""What executes: face mesh, puppet, sound features, voices."""
