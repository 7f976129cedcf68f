"""The evening: Tidegate prepares trading for the link and for midnight, beside a plain HPA."""
