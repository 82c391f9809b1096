//! Files on the boot partition. It is FAT: capitals and small letters are the same.

use std::collections::BTreeMap;

use super::paths;
use crate::model::{Boot, Loader};
use crate::pointer::child;
use crate::rules::{Findings, short};

/// Folders that are there anyway, as they are written.
const FOLDERS: [&str; 5] = ["EFI", "EFI/BOOT", "EFI/Linux", "EFI/systemd", "loader"];

pub(super) fn check(boot: &Boot, f: &mut Findings) {
    // By their names in small letters: how a name was written first, and whether it is a file.
    let mut seen: BTreeMap<String, (&str, bool)> =
        FOLDERS.iter().map(|folder| (folder.to_ascii_lowercase(), (*folder, false))).collect();
    for (path, file) in &boot.files {
        let at = child("/boot/files", path);
        if let Some((message, help)) = paths::problem(path) {
            f.wrong_key(&at, message, help);
        } else if let Some((message, help)) = paths::owner(&path.to_ascii_lowercase()) {
            f.wrong_key(&at, format!("`{}` cannot be declared: {message}", short(path)), help);
        } else {
            names(&at, path, &mut seen, f);
            listed_by_itself(&at, path, boot.loader, f);
        }
        match (&file.text, &file.source) {
            (Some(_), Some(_)) => f.wrong(&at, "the file has `text` and `source`", "keep one of them"),
            (None, None) => f.wrong(&at, "the file has no contents", "add one of `text` and `source`"),
            (None, Some(source)) if source.is_empty() => {
                let help = "name a file, relative to the machine file";
                f.wrong(child(&at, "source"), "the path is empty", help);
            }
            _ => {}
        }
    }
}

/// Whether a path and its folders go with those before it.
fn names<'a>(at: &str, path: &'a str, seen: &mut BTreeMap<String, (&'a str, bool)>, f: &mut Findings) {
    let ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
    for end in ends {
        let (name, is_file) = (&path[..end], end == path.len());
        let (other, was_file) = *seen.entry(name.to_ascii_lowercase()).or_insert((name, is_file));
        let new = std::ptr::eq(other, name);
        let (message, help) = match (was_file, is_file) {
            _ if new => continue,
            (true, true) => {
                let message = format!("`{}` and `{}` are the same name on FAT", short(other), short(path));
                (message, "keep one of the two".to_owned())
            }
            (true, false) => {
                (format!("`{}` is a file, so nothing can be in it", short(other)), "keep one of the two".to_owned())
            }
            (false, true) => {
                (format!("`{}` is a folder: other files are in it", short(other)), "keep one of the two".to_owned())
            }
            (false, false) if other != name => {
                let help = format!("write `{}{}`", short(other), short(&path[end..]));
                (format!("the folder `{}` is written `{}` elsewhere", short(name), short(other)), help)
            }
            (false, false) => continue,
        };
        return f.wrong_key(at, message, help);
    }
}

/// systemd-boot makes an entry for each program in EFI/Linux, and may well put it first.
fn listed_by_itself(at: &str, path: &str, loader: Loader, f: &mut Findings) {
    let path = path.to_ascii_lowercase();
    if loader == Loader::SystemdBoot && path.starts_with("efi/linux/") && path.ends_with(".efi") {
        let message = "systemd-boot lists what is in EFI/Linux by itself, and may boot it before any generation";
        f.doubtful(at, message, "choose another folder, and name the file in `boot.entries`");
    }
}
