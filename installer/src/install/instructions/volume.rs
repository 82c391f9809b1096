//! A stick or second disk with instructions on it: a FAT or ext4 file system with a label of its own. It may be anybody's, so it is not
//! mounted: its files are read by our own readers, which believe nothing and have an end.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use cairn_disk::{Budget, DiskError, FileSource, Metered, Region, Source, ext4, fat};
use cairn_process::Refusal;

use super::super::claim::open_to_look;
use crate::disks::Device;

/// The label: short enough for FAT, in its capitals.
pub const LABEL: &str = "CAIRN";
/// The files that are looked for, the first that there is.
pub const FILES: [&str; 2] = ["install.yaml", "machine.yaml"];
/// How large a file may be, and how much all of them.
const MOST_FILE: u64 = 16 << 20;
const MOST: usize = 64 << 20;

/// Copies the files of the one volume with instructions into a folder; gives the one to begin with.
///
/// # Errors
/// A refusal where there are two such volumes, or where the one has none of the files.
pub fn copy(devices: &[Device], folder: &Path) -> anyhow::Result<Option<PathBuf>> {
    let is_it = |one: &&Device| {
        let signature = one.contents.signature.as_ref();
        signature.is_some_and(|it| {
            let known = it.kind == "vfat" || it.kind == "ext4";
            known && it.label.as_deref().is_some_and(|label| label.eq_ignore_ascii_case(LABEL))
        })
    };
    let volume = match devices.iter().filter(is_it).collect::<Vec<_>>()[..] {
        [] => return Ok(None),
        [one] => one,
        [first, second, ..] => {
            let why = format!("{} and {} both have the label {LABEL}: take one of them out", first.name, second.name);
            return Err(Refusal(why).into());
        }
    };
    let source = Metered::new(open_to_look(volume)?, std::sync::Arc::new(Budget::default()));
    let fat = volume.contents.signature.as_ref().is_some_and(|it| it.kind == "vfat");
    let files = if fat { of_fat(&source) } else { of_ext4(&source) };
    let files = files.with_context(|| format!("reading {}, which has the label {LABEL}", volume.name))?;
    let first = FILES.into_iter().find(|name| files.contains_key(*name));
    let Some(first) = first else {
        let why = format!("{} has the label {LABEL}, and neither {} on it", volume.name, FILES.join(" nor "));
        return Err(Refusal(why).into());
    };
    for (name, bytes) in &files {
        let path = folder.join(name);
        fs::write(&path, bytes).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(Some(folder.join(first)))
}

type Files = BTreeMap<String, Vec<u8>>;

/// The files in the volume's first folder. Names are single ones: nothing of it leads out of a folder.
fn of_fat(source: &Metered<FileSource>) -> Result<Files, DiskError> {
    let volume = fat::open(Region::new(source, 0, source.len()))?;
    let names = volume.list("")?.unwrap_or_default();
    let names = names.into_iter().filter(|one| !one.is_dir && one.len <= MOST_FILE).map(|one| one.name);
    read(names, |name| volume.read(name, MOST_FILE))
}

fn of_ext4(source: &Metered<FileSource>) -> Result<Files, DiskError> {
    let volume = ext4::Reader::open(Region::new(source, 0, source.len()))?;
    let names = volume.list("/")?.unwrap_or_default();
    // What is no file, and what is too large, is none of the instructions.
    read(names.into_iter(), |name| Ok(volume.read(&format!("/{name}"), MOST_FILE).unwrap_or_default()))
}

fn read(
    names: impl Iterator<Item = String>,
    get: impl Fn(&str) -> Result<Option<Vec<u8>>, DiskError>,
) -> Result<Files, DiskError> {
    let (mut files, mut sum) = (Files::new(), 0);
    for name in names.filter(|name| is_plain(name)) {
        let Some(bytes) = get(&name)? else { continue };
        sum += bytes.len();
        if sum > MOST {
            break;
        }
        files.insert(name, bytes);
    }
    Ok(files)
}

fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('.')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-+".contains(&b))
}
