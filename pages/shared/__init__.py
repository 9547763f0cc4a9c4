"""Pieces that several pages share: the reader's language, the model in use, how a result is shown."""
