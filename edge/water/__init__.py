"""Water meters: one file a driver behind one interface."""
