"""A local server for exported models, with TensorFlow Serving's REST API and a page.

Takes the folders of exported models, or requests as JSON, and returns an ASGI application and its answers.
Imports only the ground; the verb `serve` imports it.
"""
