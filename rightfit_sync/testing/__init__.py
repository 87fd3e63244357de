"""What an application or an adapter tests itself with: an authority, stores and a network in memory, laws."""
