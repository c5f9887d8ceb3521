"""Where a checked pipeline runs. ``local`` runs it on this machine."""
