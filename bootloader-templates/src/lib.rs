//! Templates of loader entries and loader configuration.
