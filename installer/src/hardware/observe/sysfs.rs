//! Small things about sysfs: what a folder lists, what a file says, which driver has a device.

use std::path::{Path, PathBuf};

use cairn_root::Root;

use super::{Driver, ObserveError};

/// A file of sysfs has a page at most.
const MOST: u64 = 64 << 10;

/// What a folder holds, sorted; a folder that is not there holds nothing.
pub fn list(root: &Root, folder: &str) -> Result<Vec<(String, PathBuf)>, ObserveError> {
    let names = root.names(folder).map_err(|source| ObserveError::Read { path: root.shown(folder), source })?;
    let path = |name: std::ffi::OsString| (name.to_string_lossy().into_owned(), Path::new(folder).join(name));
    Ok(names.unwrap_or_default().into_iter().map(path).collect())
}

/// The driver that is bound to a device.
pub fn driver(root: &Root, device: &Path) -> Option<Driver> {
    let bound = device.join("driver");
    let own = last_part(&root.link(&bound).ok()??)?;
    Some(match root.link(bound.join("module")).ok().flatten().and_then(|m| last_part(&m)) {
        Some(module) => Driver::Module(module),
        None => Driver::BuiltIn(own),
    })
}

/// A path's last name, as text.
pub fn last_part(path: &Path) -> Option<String> {
    path.file_name().map(|n| n.to_string_lossy().into_owned())
}

/// What a file says, without the blanks around it; one that cannot be read, or is empty, says nothing.
pub fn text(root: &Root, path: impl AsRef<Path>) -> Option<String> {
    let bytes = root.read(path, MOST).ok()??;
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    (!text.is_empty()).then(|| text.to_string())
}

/// A file with one number in hex, with or without `0x`.
pub fn hex(root: &Root, path: &Path) -> Option<u32> {
    let text = text(root, path)?;
    u32::from_str_radix(text.strip_prefix("0x").unwrap_or(&text), 16).ok()
}
