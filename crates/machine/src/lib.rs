//! The machine file and the hardware file: schema, defaults, validation. Pure: no I/O, no clock, no random numbers.
//!
//! [`check`] takes the bytes of a machine file to a [`Checked`] machine, or to all that is wrong with it, each
//! [`Problem`] with file, line and column. The structs in [`model`] are the one table behind it: the JSON Schema, the
//! structural check and the typed values are all derived from them.

mod acceptable;
mod check;
mod checked;
mod debconf;
mod edit;
pub mod install;
pub mod lock;
pub mod model;
pub mod names;
mod nearest;
pub mod pointer;
mod problem;
mod reference;
mod rules;
pub mod schema;
pub mod size;
mod structure;
mod template;
mod tree;
mod values;
mod yaml;

pub use acceptable::{Refused, acceptable};
pub use check::{SourceFile, check, check_hardware, check_install, is_install_file};
pub use checked::{Checked, FilePurpose, NamedFile};
pub use edit::{edit, to_yaml};
pub use nearest::nearest;
pub use problem::{Position, Problem, Problems};
pub use reference::reference;
pub use rules::{
    DeviceTreeError, NameServer, PassphraseError, PasswordHashError, device_tree, name_server, password_hash,
    wifi_passphrase,
};
pub use template::template;
pub use values::values;
