"""What other programs may rely on when they read our topics: schemas, an AsyncAPI document, and what may change."""
