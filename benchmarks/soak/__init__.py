"""``make soak``: two real servers over one database, asked all sorts of things while an operator moves aliases.

Every forecast is compared with what the library says for exactly the version that the answer names; anything else must
be a refusal that is documented for the request. ``house`` makes the models, ``asks`` the requests with their right
answers, ``clients`` asks and ``operator`` operates; ``record`` keeps count, and ``report`` makes rows of it.
"""
