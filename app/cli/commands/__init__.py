"""What the commands of ``app.cli`` do, one module each, imported when its command is called."""
