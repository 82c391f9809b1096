//! What stands where an image is to be written, and whether a build may replace it.
//!
//! An image that was built here and not touched since can be made again, so it goes without a question. Anything else may be all that
//! there is of something: a machine that keeps its changes in it, another machine, no image at all. It stays, unless somebody says
//! that it may go. Whatever is being written to just now stays in any case.

use std::path::Path;

use cairn_disk::image::ImageFile;
use cairn_disk::output::NewFile;
use cairn_disk::{Region, Source};
use cairn_observe::links::links;
use cairn_observe::view::{Disk, ViewError};
use cairn_observe::words::runs;
use cairn_observe::{Location, ObserveError, look, record};
use cairn_process::Refusal;
use uuid::Uuid;

use super::Places;
use super::memory::{Memory, Stamp};
use crate::in_use;

/// What may be replaced.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Whatever is a file and not in use.
    pub force: bool,
    /// An untouched image of another machine, and one of this machine that has never run.
    pub others: bool,
    /// How somebody comes by what they want all the same, as the end of a sentence.
    pub way_out: &'static str,
}

/// For `cairn build`.
pub const BUILD: Rules = Rules { force: false, others: false, way_out: "--force replaces it, -o DIR writes elsewhere" };

/// For the images of the cache, which nobody has asked for by name: machines that are called the same share one.
pub const CACHE: Rules = Rules {
    force: false,
    others: true,
    way_out: "it is the cache's image of this machine: move it to a place of its own to keep it, or remove it",
};

/// What stands there.
#[derive(Debug)]
pub enum Standing {
    /// Nothing.
    Nothing,
    /// An image that is as it was written.
    AsWritten(Memory, Stamp),
    /// An image of this machine of which nobody knows whether it is as it was written. It may be replaced by its equal. The words
    /// say what is known.
    Unknown(String, Stamp),
    /// Something that may be replaced whatever it is: somebody wants it, or nobody has asked for it by name.
    Given(Stamp),
}

impl Standing {
    /// How what stands there looked, if anything does.
    pub fn stamp(&self) -> Option<&Stamp> {
        match self {
            Standing::Nothing => None,
            Standing::AsWritten(_, stamp) | Standing::Unknown(_, stamp) | Standing::Given(stamp) => Some(stamp),
        }
    }

    /// Whether it is what would be written.
    pub fn is_current(&self, key: &str) -> bool {
        matches!(self, Standing::AsWritten(memory, _) if memory.is_current(key))
    }
}

/// Looks at what stands at `path`, where an image of the machine with this seed is to be written. What must not be replaced is refused.
pub fn judge(path: &Path, places: &Places<'_>, key: Option<&str>) -> anyhow::Result<Standing> {
    let Places { seed, rules, cache, .. } = *places;
    let refuse = |what: String| anyhow::Error::from(Refusal(format!("{what}; {}", rules.way_out)));
    let stamp = match path.symlink_metadata() {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Standing::Nothing),
        Err(e) => return Err(anyhow::Error::from(e).context(format!("looking at {}", path.display()))),
        Ok(metadata) if !metadata.is_file() => {
            // Says what it is.
            NewFile::create(path)?;
            return Err(refuse(format!("{} is no file", path.display())));
        }
        Ok(_) => {
            Stamp::of(path).map_err(|e| anyhow::Error::from(e).context(format!("looking at {}", path.display())))?
        }
    };
    let memory = Memory::of(path, cache).filter(|memory| memory.vouches_for(&stamp));
    // What would be written is there already: nothing is replaced.
    if let (Some(memory), Some(key)) = (&memory, key)
        && memory.is_current(key)
    {
        return Ok(Standing::AsWritten(memory.clone(), stamp));
    }
    if let Some(who) = who_writes(path) {
        let what = format!("{} is in use: {who} has it open for writing", path.display());
        return Err(Refusal(format!("{what}; stop that first, or build elsewhere")).into());
    }
    if rules.force {
        return Ok(Standing::Given(stamp));
    }
    match memory {
        Some(memory) if rules.others || memory.seed.is_none_or(|of| of == seed) => {
            Ok(Standing::AsWritten(memory, stamp))
        }
        Some(_) => Err(refuse(format!("{} is the image of another machine, which has another seed", path.display()))),
        None => match inside(path, seed, cache) {
            Ok(known) if rules.others && known.own => Ok(Standing::Given(stamp)),
            Ok(known) => Ok(Standing::Unknown(known.words, stamp)),
            Err(Inside::Refused(what)) => Err(refuse(what)),
            Err(Inside::Failed(error)) => Err(error),
        },
    }
}

/// Who can write to the file. A file that cannot even be read is nobody's business here: it is refused for that.
pub fn who_writes(path: &Path) -> Option<String> {
    in_use::writer(path).ok().flatten()
}

/// What is known of an image that no machine has run from, and in which no generation was made.
struct Known {
    /// As the beginning of a sentence.
    words: String,
    /// Whether it says itself that it is this machine's.
    own: bool,
}

enum Inside {
    Refused(String),
    Failed(anyhow::Error),
}

/// Looks into an image of which nothing is remembered that holds. What surely is not an untouched image of this machine is refused.
fn inside(path: &Path, seed: Uuid, cache: &Path) -> Result<Known, Inside> {
    let name = path.display();
    ImageFile::open(path).map_err(|e| Inside::Refused(format!("{:#}; it is left as it is", anyhow::Error::from(e))))?;
    let found = look(&Location::Image(path.to_path_buf()), |machine| {
        let record = record::read(&*machine.root)?.unwrap_or_default();
        let host = machine.root.read("/nix/var/nix/profiles/system/etc/hostname", 1 << 10)?;
        let host = host.map(|host| String::from_utf8_lossy(&host).trim().to_string());
        Ok::<_, ObserveError>((record.and_then(|record| record.seed), host, links(&*machine.root)?.0))
    });
    let ran = || {
        Inside::Refused(format!(
            "{name} has changed since it was built: a machine has run from it, or somebody has mounted it"
        ))
    };
    let (of, host, generations) = found.map_err(|error| match error.is_refusal() {
        // Switched off hard, and its reader wants a journal to be played first.
        false if mounts(path).is_ok_and(|times| times > 0) => ran(),
        true => Inside::Refused(format!("{name} is an image that Cairn has not made, or whose machine is gone")),
        false => {
            let error = anyhow::Error::from(error);
            Inside::Refused(format!("{name} is there, and cannot be looked into ({error:#})"))
        }
    })?;
    if of.is_some_and(|of| of != seed) {
        let host = host.map(|host| format!(" (its host name is {host})")).unwrap_or_default();
        return Err(Inside::Refused(format!("{name} is the image of another machine{host}, which has another seed")));
    }
    let mounted = mounts(path).map_err(|error| Inside::Failed(error.into()))?;
    // A memory that does not hold any more still tells what was built.
    let built = Memory::of(path, cache).and_then(|memory| memory.newest);
    let newer: Vec<u64> =
        generations.iter().map(|g| g.number).filter(|n| built.is_some_and(|built| *n > built)).collect();
    if !newer.is_empty() {
        let many = if newer.len() == 1 { ("generation", "was") } else { ("generations", "were") };
        let numbers = runs(newer).join(", ");
        return Err(Inside::Refused(format!(
            "{name} has changed since it was built: {} {numbers} {} made in it",
            many.0, many.1
        )));
    }
    if mounted > 0 {
        return Err(ran());
    }
    let words = match built {
        Some(_) => format!("{name} has changed since it was built"),
        None => format!(
            "{name} may have changed since it was built (that is remembered in the cache, and not for this file)"
        ),
    };
    Ok(Known { words, own: of == Some(seed) })
}

/// How often the ext4 file systems of an image have been mounted, as they say. A new one says 0; each mount for writing counts, even
/// when the machine was then switched off without a word.
fn mounts(path: &Path) -> Result<u64, ViewError> {
    let disk = Disk::open(path)?;
    let mut count = 0;
    for partition in &disk.table().partitions {
        let region = Region::new(disk.source(), partition.offset, partition.bytes);
        // Of the superblock, which begins at 1024: when it was mounted last, how often, what it is, what it needs.
        let mut superblock = [0; 128];
        if region.read_at(1024, &mut superblock).is_err() || superblock[0x38..0x3a] != [0x53, 0xef] {
            continue;
        }
        let time = u32::from_le_bytes(std::array::from_fn(|i| superblock[0x2c + i]));
        let times = u16::from_le_bytes(std::array::from_fn(|i| superblock[0x34 + i]));
        let needs_recovery = superblock[0x60] & 4 != 0;
        count += u64::from(times).max(u64::from(time != 0 || needs_recovery));
    }
    Ok(count)
}
