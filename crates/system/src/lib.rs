//! Sources, base, etc, initrd and system.
