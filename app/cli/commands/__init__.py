"""The functions behind the commands of ``app.cli``: one module a command, imported when its command runs."""
