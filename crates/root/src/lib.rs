//! The one door to a root that may be anybody's: a mounted disk, an unpacked image, the running machine's `/`.
//!
//! A path of such a machine must never be joined with the folder in which the machine lies and given to the operating
//! system: an absolute link, or one with `..`, would lead from there into the host. [`Root`] holds the folder open, and lets
//! the kernel resolve every path inside of it (`openat2(2)`):
//!
//! - What is **read** ([`Root`]) goes where the machine itself would go: links are followed, an absolute one begins at the root
//!   again, `..` ends there (`RESOLVE_IN_ROOT`).
//! - What is **written** ([`Folder`]) lies in a folder of Cairn's own, in which no link is followed at all
//!   (`RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS`). Where that folder *is*, the machine decides, as for reading: an administrator
//!   may have moved `/var` and left a link.
//!
//! - Neither goes over to a **file system that is mounted below the root** and is not the machine's own: a rescue system's
//!   `/run`, say. The running machine's mounts are all its own.
//!
//! A file is opened only when it is known to be a regular one, so that no pipe makes anybody wait and no device notices, and
//! whoever reads one says how long it may be.
//!
//! Paths may begin with `/` or not: both are below the root.

mod beneath;
mod folder;
mod mountinfo;
mod mounts;
mod plain;
mod resolve;
mod root;

pub use folder::Folder;
pub use mountinfo::Mount;
pub use plain::{open_plain, read_plain};
pub use root::{Kind, Root};
