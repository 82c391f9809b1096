//! Entries of the boot menu besides the generations.

use std::collections::BTreeMap;

use super::{paths, words};
use crate::model::{BootEntry, Firmware};
use crate::pointer::child;
use crate::rules::{Findings, short};

/// A menu is 80 columns wide.
const LONGEST_TITLE: usize = 70;

pub(super) fn check(entries: &BTreeMap<String, BootEntry>, firmware: Firmware, f: &mut Findings) {
    for (name, entry) in entries {
        let at = child("/boot/entries", name);
        entry_name(&at, name, f);
        one(&at, entry, firmware, f);
    }
}

/// The names become file names and identifiers; systemd-boot finds no capitals in them, and counts what follows a `+`.
fn entry_name(at: &str, name: &str, f: &mut Findings) {
    let well = name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-'))
        && name.len() <= 32;
    if !well {
        let help = "small letters, digits, `_` and `-`, at most 32; what the menu shows is the `title`";
        f.wrong_key(at, format!("`{}` is not a name for an entry", short(name)), help);
    } else if name.starts_with("cairn") || name.starts_with("auto-") {
        let help = "names that begin with `cairn` are Cairn's, those with `auto-` systemd-boot's; choose another";
        f.wrong_key(at, format!("an entry cannot be called `{}`", short(name)), help);
    }
}

fn one(at: &str, entry: &BootEntry, firmware: Firmware, f: &mut Findings) {
    match (&entry.efi, &entry.linux) {
        (Some(_), Some(_)) => f.wrong(at, "the entry has both `efi` and `linux`", "keep one of them"),
        (None, None) => {
            f.wrong(at, "the entry boots nothing", "add `efi` with an EFI program, or `linux` with a kernel")
        }
        (Some(_), None) if !firmware.uefi => {
            let message = "the disk boots under BIOS only, which starts no EFI program";
            f.wrong(child(at, "efi"), message, "write `linux`, or choose a layout with UEFI: `hybrid` has both");
        }
        _ => {}
    }
    if entry.linux.is_none() && !entry.initrd.is_empty() {
        f.wrong(child(at, "initrd"), "an initrd belongs to a kernel", "remove the line, or add `linux`");
    }
    if let Some(title) = &entry.title {
        let at = child(at, "title");
        let quotes = ['"', '\'', '\\'];
        if title.is_empty() || title.contains(char::is_control) {
            f.wrong(at, "a title is one line that is not empty", "remove the line for the default");
        } else if title.trim() != title || title.starts_with(quotes) || title.ends_with(quotes) {
            f.wrong(at, "a title does not begin or end with a blank, a quote or a backslash", "");
        } else if title.chars().count() > LONGEST_TITLE {
            f.wrong(at, format!("the title has more than {LONGEST_TITLE} characters"), "a menu is 80 columns wide");
        }
    }
    for (key, value) in [("efi", &entry.efi), ("linux", &entry.linux)] {
        if let Some(value) = value {
            path(&child(at, key), value, f);
        }
    }
    for (i, value) in entry.initrd.iter().enumerate() {
        path(&child(child(at, "initrd"), i), value, f);
    }
    let what = if entry.linux.is_some() { "kernel parameter" } else { "parameter" };
    words(&child(at, "options"), &entry.options, what, f);
}

/// A file on the boot partition, which need not be one of `files`: another system may have brought it.
fn path(at: &str, path: &str, f: &mut Findings) {
    if let Some((message, help)) = paths::problem(path) {
        f.wrong(at, message, help);
    } else if path.to_ascii_lowercase().starts_with("cairn/") {
        let help = "put a copy elsewhere with `boot.files`; `cairn rollback` and the menu choose generations";
        f.wrong(at, "what is in the folder cairn comes and goes with the generations", help);
    }
}
