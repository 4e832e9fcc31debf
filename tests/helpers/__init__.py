"""What tests of several files and programs need: workspaces, servers, stand-ins, label grids."""
