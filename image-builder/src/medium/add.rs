//! Something onto a medium that is there: into its place for answers, and nowhere else.

use std::io::Cursor;
use std::path::Path;

use anyhow::Context;
use cairn_disk::fat::FatVolume;
use cairn_disk::medium::Tag;
use cairn_disk::{BlockTarget, Target};
use cairn_process::Refusal;

/// A machine file that is installed without a question.
pub const ANSWERS: &str = "machine.yaml";
/// Keys with which somebody logs in.
pub const KEYS: &str = "authorized_keys";

/// Puts files into a medium's place for answers; what is there under these names goes.
///
/// # Errors
/// A refusal for what is no medium, and for what has no room; the system's.
pub fn add(medium: &Path, files: &[(String, Vec<u8>)], epoch: i64) -> anyhow::Result<()> {
    let opening = || format!("opening {}", medium.display());
    let file = std::fs::File::options().read(true).write(true).open(medium).with_context(opening)?;
    let target = BlockTarget::new(file, medium.display().to_string()).with_context(opening)?;
    let tag = Tag::read(&target).with_context(|| format!("reading {}", medium.display()))?;
    let refusal = |why: String| Refusal(format!("{} {why}", medium.display()));
    let no_medium = || refusal("is no installation medium of Cairn's, or not all of one; `cairn medium` makes one".into());
    let (offset, len) = tag.ok_or_else(no_medium)?.spare;
    let mut volume = FatVolume::open(&target, offset, len, epoch)?;
    let put = put(&mut volume, files, &refusal);
    put.and(volume.finish().map_err(Into::into))?;
    target.sync().with_context(|| format!("writing {}", medium.display()))
}

fn put(volume: &mut FatVolume<'_>, files: &[(String, Vec<u8>)], refusal: &dyn Fn(String) -> Refusal) -> anyhow::Result<()> {
    let (cluster, mut free) = volume.space().context("looking at the place for answers")?;
    let there = volume.list("").context("looking at the place for answers")?.unwrap_or_default();
    let same = |name: &str| there.iter().find(|entry| entry.name.eq_ignore_ascii_case(name));
    // Nothing goes before all has room.
    free += files.iter().filter_map(|(name, _)| Some(same(name)?.len.next_multiple_of(cluster))).sum::<u64>();
    let needed: u64 = files.iter().map(|(_, bytes)| (bytes.len() as u64).next_multiple_of(cluster)).sum();
    if needed + 4 * cluster > free {
        return Err(refusal(format!("has no room for {needed} more bytes in its place for answers: {free} are free")).into());
    }
    for (name, bytes) in files {
        if let Some(entry) = same(name) {
            if entry.is_dir {
                return Err(refusal(format!("has a folder in the place of {name}: remove it")).into());
            }
            volume.remove(&entry.name).with_context(|| format!("removing {name}"))?;
        }
        volume.create(name, &mut Cursor::new(bytes)).with_context(|| format!("writing {name}"))?;
    }
    Ok(())
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
        assert!(before[..begin] == after[..begin] && before[end..] == after[end..] && target.len() == before.len() as u64);
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
