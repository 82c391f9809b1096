//! Paths on the boot partition: what FAT can hold, and what is the boot loader's or Cairn's.

use crate::rules::short;

/// Why a path cannot be one on the boot partition, and what to do.
pub(super) fn problem(path: &str) -> Option<(String, String)> {
    if path.is_empty() {
        return Some(("the path is empty".into(), "write for example EFI/tools/shell.efi".into()));
    }
    if let Some(rest) = path.strip_prefix('/') {
        let rest = ["boot/efi/", "boot/", "efi/"].iter().find_map(|at| rest.strip_prefix(at)).unwrap_or(rest);
        let help = format!("paths on the boot partition begin at its own root: write `{}`", short(rest));
        return Some((format!("`{}` begins with `/`", short(path)), help));
    }
    if path.contains('\\') {
        let help = format!("write `{}`", short(&path.replace('\\', "/")));
        return Some((format!("`{}` has a backslash in it", short(path)), help));
    }
    let parts = || path.split('/');
    if parts().any(|part| part == "..") {
        return Some((format!("`{}` has `..` in it", short(path)), "write the path that is meant".into()));
    }
    if parts().any(|part| part.is_empty() || part == ".") {
        let help = "write it without `//`, `/./` and a `/` at the end".into();
        return Some((format!("`{}` is not a plain path", short(path)), help));
    }
    if let Some(c) = path.chars().find(|c| !c.is_ascii() || c.is_control() || "\"*:<>?|".contains(*c)) {
        let help = "FAT has no room for control characters and \" * : < > ? |, and firmware none beyond ASCII".into();
        return Some((format!("`{}` has the character {c:?} in it", short(path)), help));
    }
    if parts().any(|part| part.ends_with(['.', ' ']) || part.starts_with(' ')) {
        let help = "FAT drops dots and blanks at the end of a name".into();
        return Some((
            format!("`{}` has a name that begins with a blank or ends with a blank or a dot", short(path)),
            help,
        ));
    }
    if path.len() > 512 || parts().any(|part| part.len() > 255) {
        return Some((format!("`{}` is too long", short(path)), "a name has up to 255 characters".into()));
    }
    None
}

/// Why a path, in small letters, is not for the machine file to write; and what to do.
pub(super) fn owner(path: &str) -> Option<(&'static str, &'static str)> {
    let within = |folder: &str| path == folder || path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
    if within("cairn") {
        return Some(("the folder cairn is Cairn's own", "choose another folder"));
    }
    if within("loader/entries") {
        return Some(("the entries of the menu are made by Cairn", "use `boot.entries`"));
    }
    if path == "loader/loader.conf" {
        return Some(("loader.conf is made by Cairn", "use `boot.timeout`, `boot.menu`, `boot.editor` and so on"));
    }
    let loaders = within("efi/systemd") || path.starts_with("efi/cairn-") || path == "efi/boot/bootx64.efi";
    if loaders || within("loader/random-seed") || within("loader/entries.srel") {
        return Some(("it is the boot loader's own", "choose another name"));
    }
    if matches!(path, "efi" | "efi/boot" | "efi/linux" | "loader" | "loader/entries") {
        return Some(("it is a folder", "add the file's name"));
    }
    None
}
