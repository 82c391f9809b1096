//! A QEMU machine as a value, and the command line that makes it.
//!
//! `-nodefaults`: a machine has what is named here and nothing else, so every QEMU gives the same one.

mod drive;
mod error;
mod firmware;
mod machine;
mod qmp;
mod tpm;

pub use drive::{Controller, Drive, Says};
pub use error::QemuError;
pub(crate) use firmware::Own;
pub use firmware::{FirmwareKind, MadeFor, Ovmf};
pub(crate) use machine::tied_to_us;
pub use machine::{Accel, Display, Firmware, Guest, Network, Port, Serial, Tpm};
pub(crate) use qmp::{Cause, Event, Qmp};
pub use tpm::{SWTPM, Swtpm};

/// The emulator's program.
pub(crate) const QEMU: &str = "qemu-system-x86_64";

/// Asks for QEMU: says at once when it is not there.
pub(crate) fn check_tools() -> Result<(), QemuError> {
    cairn_process::Tool::new(QEMU, "qemu-system-x86", "run the machine").check()?;
    cairn_process::Tool::new("qemu-img", "qemu-utils", "make a disposable overlay over the image").check()?;
    Ok(())
}
