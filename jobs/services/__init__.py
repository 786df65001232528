"""What talks to a provider over HTTP: the client, what its errors mean, and when to try again.

May import the modules beside the folders.
"""
