"""JSON Web Tokens: parsed, verified and minted; key sets; every kind of bad token."""
