//! The recipe: from a machine file to its files, its lock, a base, a system, the boot set, and the contents of a new disk. The steps
//! are the libraries'; here they are put in a row, and their errors get a place in the machine file.
//!
//! Nothing here knows where a disk's contents go: into an image, or onto a block device.

pub mod contents;
pub mod live;
pub mod loader;
pub mod lock_file;
pub mod machine_file;
pub mod named_files;
pub mod plain_file;
pub mod prepared;
pub mod problems;
pub mod recipe;

pub use contents::{Contents, ContentsError, LOGS, NewDisk};
pub use machine_file::MachineFile;
pub use named_files::{NamedFiles, Passphrases, Passwords};
pub use prepared::{Prepared, Shared, prepare, prepare_beside};
pub use recipe::{Kit, Made, Workshop, adopt_seed, make};
