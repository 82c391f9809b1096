//! Something onto a medium that is there: into its place for answers, and nowhere else.

use std::fs::File;
use std::io::Cursor;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use anyhow::Context;
use cairn_disk::fat::{FatEntry, FatVolume, check_path};
use cairn_disk::medium::Tag;
use cairn_disk::{BlockTarget, Target};
use cairn_process::Refusal;
use nix::fcntl::OFlag;

/// A machine file that is installed without a question.
pub const ANSWERS: &str = "machine.yaml";
/// A wireless network that the medium joins: its name in the first line, its passphrase in the second.
pub const WIFI: &str = "wifi.txt";
/// Keys with which somebody logs in.
pub const KEYS: &str = "authorized_keys";

/// Puts files into a medium's place for answers; what is there under these names goes.
///
/// # Errors
/// A refusal for what is no medium, and for what has no room; the system's.
pub fn add(medium: &Path, files: &[(String, Vec<u8>)], epoch: i64) -> anyhow::Result<()> {
    let opening = || format!("opening {}", medium.display());
    let mut options = File::options();
    options.read(true).write(true);
    if std::fs::metadata(medium).is_ok_and(|meta| meta.file_type().is_block_device()) {
        // Whoever has it mounted would write over it (open(2): of a device this fails while it is in use).
        options.custom_flags(OFlag::O_EXCL.bits());
    }
    let file = options.open(medium).map_err(|error| match error.raw_os_error() {
        Some(nix::libc::EBUSY) => {
            let why = format!("{} is in use: unmount what is mounted of it", medium.display());
            anyhow::Error::from(Refusal(why))
        }
        _ => anyhow::Error::from(error).context(opening()),
    })?;
    let target = BlockTarget::new(file, medium.display().to_string()).with_context(opening)?;
    let tag = Tag::read(&target).with_context(|| format!("reading {}", medium.display()))?;
    let refusal = |why: String| Refusal(format!("{} {why}", medium.display()));
    let no_medium =
        || refusal("is no installation medium of Cairn's, or not all of one; `cairn medium` makes one".into());
    let (offset, len) = tag.ok_or_else(no_medium)?.spare;
    let mut volume = FatVolume::open(&target, offset, len, epoch)?;
    let put = put(&mut volume, files, &refusal);
    put.and(volume.finish().map_err(Into::into))?;
    target.sync().with_context(|| format!("writing {}", medium.display()))
}

fn put(
    volume: &mut FatVolume<'_>,
    files: &[(String, Vec<u8>)],
    refusal: &dyn Fn(String) -> Refusal,
) -> anyhow::Result<()> {
    let (cluster, mut free) = volume.space().context("looking at the place for answers")?;
    // Nothing goes before all can come.
    let mut gone = Vec::new();
    for (name, _) in files {
        check_path(name).map_err(|why| refusal(format!("cannot have a file called {name}: {why}")))?;
        if let Some(entry) = there(volume, name).context("looking at the place for answers")? {
            if entry.is_dir {
                return Err(refusal(format!("has a folder in the place of {name}: remove it")).into());
            }
            free += entry.len.next_multiple_of(cluster);
            gone.push(name);
        }
    }
    let needed: u64 = files.iter().map(|(_, bytes)| (bytes.len() as u64).next_multiple_of(cluster)).sum();
    // A folder for each, at worst, and the root's.
    if needed + (files.len() as u64 + 1) * cluster > free {
        return Err(
            refusal(format!("has no room for {needed} more bytes in its place for answers: {free} are free")).into()
        );
    }
    for name in gone {
        volume.remove(name).with_context(|| format!("removing {name}"))?;
    }
    files.iter().try_for_each(|(name, bytes)| {
        volume.create(name, &mut Cursor::new(bytes)).with_context(|| format!("writing {name}"))
    })
}

/// What stands under a path, in capitals or not.
fn there(volume: &FatVolume<'_>, path: &str) -> std::io::Result<Option<FatEntry>> {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let entries = volume.list(folder)?.unwrap_or_default();
    Ok(entries.into_iter().find(|entry| entry.name.eq_ignore_ascii_case(name)))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use cairn_disk::medium::Medium;
    use cairn_disk::{FileTarget, Source};
    use cairn_process::{Tool, ToolError};

    use super::*;

    fn medium() -> tempfile::NamedTempFile {
        let mut payload = tempfile::tempfile().unwrap();
        payload.write_all(&[7; 8192]).unwrap();
        let medium = Medium {
            label: "CAIRN",
            epoch: 1_750_000_000,
            boot_sector: [0; 512],
            core: vec![1; 4096],
            cd_files: Vec::new(),
            esp: Vec::new(),
            payload: &payload,
            lengths: (4096, 4096),
            root_hash: [3; 32],
            spare: Vec::new(),
        };
        let file = tempfile::NamedTempFile::new().unwrap();
        let target = FileTarget::new(file.reopen().unwrap(), "medium", medium.bytes()).unwrap();
        medium.write(&target).unwrap();
        file
    }

    fn files(list: &[(&str, &str)]) -> Vec<(String, Vec<u8>)> {
        list.iter().map(|(name, text)| ((*name).to_string(), text.as_bytes().to_vec())).collect()
    }

    #[test]
    fn what_is_added_is_what_others_find_and_nothing_else_changes() {
        let file = medium();
        let before = std::fs::read(file.path()).unwrap();
        add(file.path(), &files(&[(ANSWERS, "version: 1\n"), (KEYS, "ssh-ed25519 A x\n")]), 1_760_000_000).unwrap();
        add(file.path(), &files(&[(ANSWERS, "version: 1 # again\n")]), 1_760_000_000).unwrap();
        let after = std::fs::read(file.path()).unwrap();
        let target = BlockTarget::new(file.reopen().unwrap(), "medium").unwrap();
        let (offset, len) = Tag::read(&target).unwrap().unwrap().spare;
        let (begin, end) = (usize::try_from(offset).unwrap(), usize::try_from(offset + len).unwrap());
        assert!(
            before[..begin] == after[..begin] && before[end..] == after[end..] && target.len() == before.len() as u64
        );
        for (name, text) in [(ANSWERS, "version: 1 # again\n"), (KEYS, "ssh-ed25519 A x\n")] {
            let place = format!("{}@@{offset}", file.path().display());
            let read = Tool::new("mtype", "mtools", "look at the medium").args(["-i", &place, &format!("::{name}")]);
            match read.output() {
                Ok(said) => assert_eq!(String::from_utf8_lossy(&said), text),
                Err(missing @ ToolError::Missing { .. }) => return cairn_testkit::skip(missing),
                Err(error) => panic!("{error}"),
            }
        }
    }

    #[test]
    fn a_name_that_cannot_be_there_is_refused_before_anything_goes() {
        let file = medium();
        add(file.path(), &files(&[(ANSWERS, "kept"), ("files/motd", "hi")]), 0).unwrap();
        add(file.path(), &files(&[(ANSWERS, "kept"), ("files/MOTD", "hi again")]), 0).unwrap();
        let before = std::fs::read(file.path()).unwrap();
        for wrong in ["../x", "/x", "a:b", "files"] {
            let error = add(file.path(), &files(&[(ANSWERS, "new"), (wrong, "x")]), 0).unwrap_err();
            assert!(error.is::<Refusal>(), "{wrong}: {error}");
            assert!(std::fs::read(file.path()).unwrap() == before, "{wrong}");
        }
    }

    #[test]
    fn what_has_no_room_changes_nothing_and_what_is_no_medium_is_refused() {
        let file = medium();
        add(file.path(), &files(&[(ANSWERS, "kept")]), 0).unwrap();
        let before = std::fs::read(file.path()).unwrap();
        let large = vec![("large".to_string(), vec![0; 20 << 20])];
        let error = add(file.path(), &large, 0).unwrap_err().to_string();
        assert!(error.contains("has no room"), "{error}");
        assert!(std::fs::read(file.path()).unwrap() == before);
        let other = tempfile::NamedTempFile::new().unwrap();
        other.as_file().set_len(1 << 20).unwrap();
        let error = add(other.path(), &large, 0).unwrap_err().to_string();
        assert!(error.contains("is no installation medium"), "{error}");
    }
}
