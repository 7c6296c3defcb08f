"""One adapter for each sort of receiver; a vendor's library is imported only when a receiver needs it."""
