"""What all pages are made of: sections, tables, sentences, charts."""
