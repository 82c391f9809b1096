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
