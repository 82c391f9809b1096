//! What the menu is to have, as values.

use serde::Serialize;

use super::serial::Serial;

/// A kernel to start. Paths are absolute on the boot partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    /// The kernel.
    pub linux: String,
    /// The initrds, which the kernel gets as one, in this order.
    pub initrd: Vec<String>,
    /// The kernel's parameters. One with blanks is several, as it is with systemd-boot.
    pub params: Vec<String>,
}

/// A generation in the menu.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// What it is called in [`menu_path`], such as `2-abcdefgh`: letters, digits and `-_.+`.
    pub id: String,
    /// The line in the menu.
    pub title: String,
    /// What it starts.
    pub kernel: Kernel,
    /// Whether it has booted well before: what may be booted with nobody there to choose.
    pub good: bool,
    /// Its variants (NixOS calls them specialisations).
    pub variants: Vec<Variant>,
}

/// A variant of a generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variant {
    /// Its name: letters, digits and `-_.+`. The menu shows it in brackets behind the generation's title.
    pub name: String,
    /// What it starts.
    pub kernel: Kernel,
    /// Whether it, too, has booted well before.
    pub good: bool,
}

/// A generation that has not booted well yet and is tried a few times. It is the default of the menu as long as the
/// environment block says so ([`super::EnvBlock::arm`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// Which generation.
    pub id: String,
    /// What `cairn_try` must hold for this one, and no other, to be tried: the same letters as in an id.
    pub key: String,
    /// How many tries there may be: 1 to 99.
    pub tries: u8,
}

/// How the menu shows itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MenuStyle {
    /// For the time of the timeout.
    #[default]
    Shown,
    /// Not, unless Escape is pressed within the timeout. With a timeout of 0 nobody can press it.
    Hidden,
    /// As [`MenuStyle::Hidden`], but with the seconds counted on the screen.
    Countdown,
    /// Until somebody chooses.
    Wait,
}

/// Who may change entries and have a command line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Password {
    /// The name that GRUB asks for.
    pub user: String,
    /// What `grub-mkpasswd-pbkdf2` prints: `grub.pbkdf2.sha512.…`.
    pub hash: String,
}

/// An entry of the machine's owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extra {
    /// Its name, unique among the extra entries: letters, digits and `-_.+`.
    pub name: String,
    /// The line in the menu.
    pub title: String,
    /// What it starts.
    pub boots: Boots,
    /// Whether the password is asked for (with a [`Password`]).
    pub restricted: bool,
}

/// What an extra entry starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Boots {
    /// An EFI program; the entry is there under UEFI only.
    Efi {
        /// Its path on the boot partition.
        path: String,
        /// What it is given on its command line.
        options: Vec<String>,
    },
    /// An EFI program of another system, on whatever partition it is; the entry is there under UEFI only.
    EfiAnywhere {
        /// Its path on its partition.
        path: String,
    },
    /// A kernel.
    Linux(Kernel),
}

/// The memory test's programs, by their paths on the boot partition. The entry is there where its program is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Memtest {
    /// For BIOS: Debian's `memtest86+x64.bin`.
    pub bios: Option<String>,
    /// For UEFI: Debian's `memtest86+x64.efi`.
    pub efi: Option<String>,
}

/// Everything that `grub.cfg` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// Every generation that is kept, newest first: the submenu's order.
    pub generations: Vec<Generation>,
    /// The id of the generation that boots by itself: entry 0.
    pub default: String,
    /// The generation that is tried first, if there is one.
    pub trial: Option<Trial>,
    /// How the menu shows itself.
    pub style: MenuStyle,
    /// For how many seconds.
    pub timeout: u32,
    /// Whether what is chosen stays the default. Only what is known to boot is remembered.
    pub remember: bool,
    /// A password.
    pub password: Option<Password>,
    /// A serial line on which the menu is shown too (under BIOS; under UEFI that is the firmware's business).
    pub serial: Option<Serial>,
    /// Entries of the machine's owner.
    pub extra: Vec<Extra>,
    /// The memory test.
    pub memtest: Option<Memtest>,
    /// Whether Windows and the EFI shell are looked for at each start (UEFI only).
    pub other_systems: bool,
    /// Whether there is an entry for the firmware's setup (UEFI only).
    pub firmware_setup: bool,
}

/// By what the menu finds a generation, or (`id:name`) a variant of it: what [`super::EnvBlock::once`] wants.
pub fn menu_path(id: &str) -> String {
    format!("cairn-all>{id}")
}
