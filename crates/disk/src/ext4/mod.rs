//! ext4, written straight to its final place: the metadata by one thread, while others copy the files' data already; where it
//! can, the kernel does.
//!
//! What it makes has no resize inode: it is grown while it is not mounted (`e2fsck -f -p`, `resize2fs`), before the
//! machine mounts it.

mod copy;
mod extents;
mod layout;
mod open;
mod plan;
mod reader;
mod size;
mod volume;

pub use open::Folders;
pub use plan::{Ext4Options, Ext4Plan, Ext4Size};
pub use reader::{EntryKind, Ext4Info, Reader};
pub use size::needed;

/// What mkext4 and the kernel's default agree on.
pub(crate) const BLOCK: u64 = 4096;
