//! Store paths, NAR hashes, the database, closures.
