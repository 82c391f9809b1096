//! The sequences that are recorded and judged: those that break, and those that a boot update can be made of.

// A file under its own name at once: the chain is on the disk first, then the data, then the slot.
macro_rules! new_file {
    ($path:literal, $folder:literal, $content:literal, $size:literal) => {
        concat!(
            "create f ",
            $path,
            " @9:0\nreserve f ",
            $size,
            "\nfsyncdir ",
            $folder,
            "\npwrite f 0 ",
            $content,
            "\nwriteout f\nfsyncdir ",
            $folder,
            "\nfsync f\nsyncfs\nfsyncdir ",
            $folder,
            "\n"
        )
    };
}

// A name goes while the file is held open; its clusters follow when it is closed.
macro_rules! gone {
    ($path:literal, $folder:literal) => {
        concat!(
            "hold h ",
            $path,
            "\nremove ",
            $path,
            "\nsyncfs\nfsyncdir ",
            $folder,
            "\nclose h\nsyncfs\nfsyncdir ",
            $folder,
            "\n"
        )
    };
}

// Another file under a name that is in use, and what an earlier run has left beside it.
macro_rules! replaced {
    ($path:literal, $aside:literal, $folder:literal, $content:literal, $size:literal) => {
        concat!(
            "hold h ",
            $path,
            "\nhold l ",
            $path,
            ".new\n",
            new_file!($aside, $folder, $content, $size),
            "rename ",
            $aside,
            " ",
            $path,
            "\nfsync f\nsyncfs\nfsyncdir ",
            $folder,
            "\nremove ",
            $path,
            ".new\nsyncfs\nfsyncdir ",
            $folder,
            "\nclose h\nclose l\nsyncfs\nfsyncdir ",
            $folder,
            "\n"
        )
    };
}

mod again;
mod breaks;
mod holds;

pub use again::{AGAIN, Again};
pub use breaks::BREAKS;
pub use holds::HOLDS;

use super::primitive::{Case, Seen};
use super::script::Hasty;

/// All of them.
pub fn all() -> impl Iterator<Item = &'static Case> {
    BREAKS.iter().chain(HOLDS)
}

type Rule = fn(&Seen) -> Result<(), String>;

/// The kernel may write anything at any time.
const ANY: &[Hasty] = &[Hasty::Never, Hasty::Metadata, Hasty::All];
/// The kernel does not write a file's inode by itself: it does so when the file has been dirty for half a minute, or
/// when memory is short.
const USUAL: &[Hasty] = &[Hasty::Never, Hasty::Metadata];

const ENTRY: &str = "loader/entries/new-entry-2.conf";
const COUNTED: &str = "loader/entries/new-entry-2+2-1.conf";
const CONF: &str = "loader/loader.conf";
const PROGRAM: &str = "EFI/a/boot.efi";
const OLD_CONF: &str = "create o loader/loader.conf @10:700\nfsync o";
const OLD_PROGRAM: &str = "mkdir EFI\nmkdir EFI/a\ncreate o EFI/a/boot.efi @14:90000\nfsync o";
const OLD_COUNTED: &str = "create o loader/entries/new-entry-2+2-1.conf @10:700\nfsync o";
const OLD_ENTRY: &str = "create o loader/entries/old-entry-0.conf @10:700\nfsync o\nclose o\n\
                         create o cairn/m/k0-linux @14:90000\nfsync o\nclose o";

/// A new name: absent, empty or whole, and whole in the end. No loader takes an empty file for an entry.
const NEW: Rule = |s| s.holds(ENTRY, &["absent", "empty", "new"], &["new"]);
/// An existing name that gets new contents.
const REPLACED: Rule = |s| s.holds(CONF, &["old", "new"], &["new"]);

/// Of an entry that loses its counter, one name or the other is whole.
fn one_of_both(s: &Seen) -> Result<(), String> {
    match (s.at(COUNTED), s.at(ENTRY)) {
        ("old", _) | (_, "old") => Ok(()),
        (counted, plain) => Err(format!("the counted entry is {counted} and the plain one {plain}")),
    }
}

/// An entry goes before its kernel, each wholly there or wholly gone.
fn entry_before_kernel(s: &Seen) -> Result<(), String> {
    let (entry, kernel) = (s.at("loader/entries/old-entry-0.conf"), s.at("cairn/m/k0-linux"));
    match (entry, kernel) {
        ("absent", "absent") => Ok(()),
        ("old" | "absent", "old-big") if !s.returned => Ok(()),
        _ => {
            Err(format!("the entry is {entry} and its kernel {kernel}{}", if s.returned { ", after all" } else { "" }))
        }
    }
}
