//! Time zones, as a base has them: which names are zones, and which only look like one.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use cairn_machine::nearest;

use crate::error::SystemError;
use crate::tree::{find_in, resolve_in};

/// Where they are, in the base and on the machine.
pub const FOLDER: &str = "usr/share/zoneinfo";
/// What a file with a time zone begins with (tzfile(5)).
const MAGIC: &[u8] = b"TZif";

/// What a name is.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// A time zone.
    Zone,
    /// A folder of them, with the first zone in it.
    Folder(Option<String>),
    /// Another file, such as tzdata.zi.
    NoZone,
    /// Nothing at all.
    Nothing,
}

/// Looks a name up.
///
/// # Errors
/// When the base cannot be read.
pub fn find(base: &Path, zone: &str) -> Result<Found, SystemError> {
    let path = format!("{FOLDER}/{zone}");
    let Some(real) = find_in(base, &path).map_err(SystemError::io("reading", base.join(&path)))? else {
        return Ok(Found::Nothing);
    };
    let real = base.join(real);
    if real.is_dir() {
        let first = names(base, zone).into_iter().find(|name| is_zone(&real.join(name)));
        return Ok(Found::Folder(first));
    }
    Ok(if is_zone(&real) { Found::Zone } else { Found::NoZone })
}

/// A name like one that is none, in the same folder.
pub fn near(base: &Path, zone: &str) -> Option<String> {
    let (folder, name) = zone.rsplit_once('/').unwrap_or(("", zone));
    let names = names(base, folder);
    let near = nearest(name, names.iter().map(String::as_str))?;
    let near = if folder.is_empty() { near.to_string() } else { format!("{folder}/{near}") };
    matches!(find(base, &near), Ok(Found::Zone)).then_some(near)
}

/// What is in a folder of zones, sorted.
fn names(base: &Path, folder: &str) -> Vec<String> {
    let Some(real) = resolve_in(base, &format!("{FOLDER}/{folder}")) else { return Vec::new() };
    let entries = fs::read_dir(base.join(real)).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

fn is_zone(file: &Path) -> bool {
    let mut magic = [0; MAGIC.len()];
    let is_file = fs::symlink_metadata(file).is_ok_and(|meta| meta.is_file());
    is_file && fs::File::open(file).and_then(|mut file| file.read_exact(&mut magic)).is_ok() && magic == MAGIC
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_folder_a_table_and_a_link_out_are_no_zones() {
        let dir = tempfile::tempdir().unwrap();
        let zones = dir.path().join("base").join(FOLDER);
        fs::create_dir_all(zones.join("America/Argentina")).unwrap();
        fs::create_dir_all(zones.join("Europe")).unwrap();
        for zone in ["America/Argentina/Buenos_Aires", "Europe/Berlin", "UTC"] {
            fs::write(zones.join(zone), b"TZif2 and so on").unwrap();
        }
        fs::write(zones.join("tzdata.zi"), "# version").unwrap();
        fs::write(dir.path().join("outside"), b"TZif2").unwrap();
        symlink(dir.path().join("outside"), zones.join("Out")).unwrap();
        symlink("/usr/share/zoneinfo/UTC", zones.join("Zulu")).unwrap();
        let base = dir.path().join("base");
        let find = |zone: &str| find(&base, zone).unwrap();
        assert_eq!(find("America/Argentina"), Found::Folder(Some("Buenos_Aires".into())));
        assert_eq!(find("America"), Found::Folder(None));
        assert_eq!(find("Europe/Berlin"), Found::Zone);
        assert_eq!(find("Zulu"), Found::Zone);
        assert_eq!(find("tzdata.zi"), Found::NoZone);
        assert_eq!(find("Out"), Found::Nothing);
        assert_eq!(find("Europe/Belrin"), Found::Nothing);
        assert_eq!(near(&base, "Europe/Belrin").as_deref(), Some("Europe/Berlin"));
        assert_eq!(near(&base, "tzdata.zo"), None);
    }
}
