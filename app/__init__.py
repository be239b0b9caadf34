"""The Forecastle service: HTTP, SQL, time, files and the environment around the library in ``models``."""
