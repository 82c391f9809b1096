//! The one part of this crate that touches the system: a boot partition that is mounted, the machine's record, and the
//! firmware's variables.

mod bootspec_file;
mod efi_variables;
mod mounted;
mod obstacle;
mod record_file;
mod writeout;

pub use bootspec_file::{BootspecFileError, read_bootspecs};
pub use efi_variables::{EFI_VARIABLES, change_firmware, firmware_folder, obstacle, read_firmware};
pub use mounted::Mounted;
pub use obstacle::{Obstacle, with_help};
pub use record_file::{RecordFileError, read_record, write_record};
