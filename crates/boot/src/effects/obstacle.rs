//! What keeps variables from being seen or changed, and what helps. None of it stops anything: the firmware starts the removable path.

use std::fmt;
use std::io::{self, ErrorKind};

/// It.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// Something else than UEFI has started the computer.
    NotUefi,
    /// Nobody has mounted the file system in which they are shown.
    NotMounted,
    /// That file system, or the firmware, lets nothing be changed.
    ReadOnly,
    /// There is no room.
    Full,
}

impl Obstacle {
    /// What an error in changing a variable means. Of most errors only the firmware knows.
    pub fn of(error: &io::Error) -> Option<Obstacle> {
        match error.kind() {
            // Linux wants five kilobytes to be left, for there are firmwares that do not start again without.
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::OutOfMemory => Some(Obstacle::Full),
            ErrorKind::ReadOnlyFilesystem => Some(Obstacle::ReadOnly),
            _ => None,
        }
    }

    /// What to do about it.
    pub fn help(self) -> &'static str {
        match self {
            Obstacle::NotUefi => "where it is to be started by UEFI, choose that in the firmware's setup",
            Obstacle::NotMounted => {
                "`mount -t efivarfs efivarfs /sys/firmware/efi/efivars` shows them; where that fails, the kernel has none, and \
                 `efi=runtime` on its command line brings them (real-time kernels)"
            }
            Obstacle::ReadOnly => {
                "`mount -o remount,rw /sys/firmware/efi/efivars` helps, unless the firmware itself protects them: then its setup says so"
            }
            Obstacle::Full => {
                "remove entries that nobody needs (`efibootmgr` lists them, `efibootmgr -b NUMBER -B` removes one) or what crashed \
                 kernels have left (/sys/fs/pstore); some firmwares have the room after a restart only"
            }
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Obstacle::NotUefi => "this computer was not started by UEFI, and so its firmware shows no variables",
            Obstacle::NotMounted => "the firmware's variables are not to be seen: efivarfs is not mounted",
            Obstacle::ReadOnly => "the firmware's variables are read-only",
            Obstacle::Full => "the firmware's memory for variables is full",
        })
    }
}

/// An error in changing a variable, with what it means and what helps where that is known.
pub fn with_help(error: &io::Error) -> String {
    Obstacle::of(error).map_or_else(|| error.to_string(), |it| format!("{it} ({error}); {}", it.help()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_to_do() {
        let error = |number| with_help(&io::Error::from_raw_os_error(number));
        assert!(error(28).starts_with("the firmware's memory for variables is full (No space left"), "{}", error(28));
        assert!(error(28).contains("efibootmgr -b NUMBER -B"), "{}", error(28));
        assert!(error(30).contains("remount,rw"), "{}", error(30));
        assert_eq!(error(5), "Input/output error (os error 5)");
    }
}
