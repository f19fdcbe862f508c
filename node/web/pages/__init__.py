"""One module a page: its addresses, the facts that it asks for, and the template that they go into."""
