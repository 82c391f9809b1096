//! Hardware detection; the installer.
