//! The one part of this crate that touches the system: a boot partition that is mounted, and the machine's record.

mod mounted;
mod record_file;
mod writeout;

pub use mounted::Mounted;
pub(crate) use mounted::UNFINISHED;
pub use record_file::{RecordFileError, read_record, write_record};
