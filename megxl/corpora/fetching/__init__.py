"""Corpora from where they are published: origins and their clients, choice of files, download, verification."""
