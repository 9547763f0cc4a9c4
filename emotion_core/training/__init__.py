"""One fine-tuning run: its settings, its split, its optimizer. The process it runs in is `jobs`."""
