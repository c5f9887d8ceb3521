"""The models of a server: found, loaded, watched, replaced and unloaded as TF Serving does it."""
