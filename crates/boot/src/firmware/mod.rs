//! What the firmware of a UEFI machine remembers about booting: its own menu, and what somebody told systemd-boot through it.
//! Values and decisions only; who reads and writes variables is [`crate::effects`].

mod boot_entry;
mod load_option;
mod overrides;

use std::collections::BTreeMap;

pub use boot_entry::{BootEntry, changes};
pub use load_option::{LoadOption, Signature};
pub use overrides::{Override, overrides};

/// The variables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Firmware {
    /// `BootOrder`: the entries of the firmware's menu that are tried, in their order.
    pub order: Vec<u16>,
    /// `Boot0000` to `BootFFFF`, as they are.
    pub entries: BTreeMap<u16, Vec<u8>>,
    /// `BootNext`: the entry that is started at the next start, once.
    pub next: Option<u16>,
    /// `SecureBoot`: only what is signed is started.
    pub secure_boot: bool,
    /// `db`: whom it knows then, as lists of certificates and hashes (`EFI_SIGNATURE_LIST`).
    pub known: Vec<u8>,
    /// What of systemd-boot's is set.
    pub set: BTreeMap<LoaderVariable, String>,
}

/// A variable that makes systemd-boot take another entry than the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LoaderVariable {
    /// At every boot: `bootctl set-default`, or the key `d` in the menu.
    Default,
    /// Once: `bootctl set-oneshot`, `systemctl reboot --boot-loader-entry=`.
    OneShot,
}

impl LoaderVariable {
    /// Both.
    pub const ALL: [LoaderVariable; 2] = [LoaderVariable::Default, LoaderVariable::OneShot];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            LoaderVariable::Default => "LoaderEntryDefault",
            LoaderVariable::OneShot => "LoaderEntryOneShot",
        }
    }
}

/// A change to one variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// An entry of the firmware's menu gets these contents.
    Entry(u16, Vec<u8>),
    /// The entries are tried in this order.
    Order(Vec<u16>),
    /// An entry of the firmware's menu goes.
    Remove(u16),
    /// This entry is started at the next start, once; or none is.
    Next(Option<u16>),
    /// A variable of systemd-boot's goes.
    Forget(LoaderVariable),
    /// systemd-boot boots this entry at the next start, and only then.
    Once(String),
}

/// A text as UEFI has it, with a zero behind it.
pub(crate) fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}

/// A text up to the zero behind it, and what comes after that.
fn from_utf16(bytes: &[u8]) -> Option<(String, &[u8])> {
    let units = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    let text: Vec<u16> = units.take_while(|unit| *unit != 0).collect();
    let rest = bytes.get(2 * text.len() + 2..)?;
    Some((String::from_utf16_lossy(&text), rest))
}

impl Firmware {
    /// Whether it starts only what is signed, and a certificate (DER), or what is a part of one, is not among those that it knows.
    pub fn refuses(&self, certificate: &[u8]) -> bool {
        self.secure_boot && !self.known.windows(certificate.len().max(1)).any(|part| part == certificate)
    }

    /// Takes over the bytes of `BootOrder`.
    pub fn set_order(&mut self, bytes: &[u8]) {
        self.order = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    }

    /// Takes over the bytes of `BootNext`.
    pub fn set_next(&mut self, bytes: &[u8]) {
        self.next = bytes.first_chunk::<2>().copied().map(u16::from_le_bytes);
    }

    /// Takes over the bytes of a variable of systemd-boot's. One that is empty says nothing.
    pub fn set_loader(&mut self, variable: LoaderVariable, bytes: &[u8]) {
        let text = from_utf16(bytes).map_or_else(|| String::from_utf8_lossy(bytes).into_owned(), |(text, _)| text);
        if !text.is_empty() {
            self.set.insert(variable, text);
        }
    }
}
