//! What is remembered of the images that were written: what each was made from, and what `stat` said of it then.
//!
//! A file's time of change is the kernel's: nobody sets it, and every write moves it. So an image of which `stat` says the same as
//! when it was written has the bytes that were written, and can be made again. (An image's bytes are not waited for until they are on
//! the disk. After a restart it is therefore still one that nobody has touched, and not one that is surely whole.)

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use cairn_store::put_in_cache;
use uuid::Uuid;

/// What is remembered of one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory {
    /// What it follows from.
    pub key: String,
    /// The machine's seed.
    pub seed: Option<Uuid>,
    /// The number of its newest generation.
    pub newest: Option<u64>,
    /// The start of this computer in which it was written.
    boot: String,
    stamp: String,
}

impl Memory {
    /// The memory of an image that has just been written, and that is as `stamp` says.
    pub fn new(key: &str, seed: Uuid, newest: u64, stamp: &Stamp) -> Memory {
        Memory { key: key.into(), seed: Some(seed), newest: Some(newest), boot: boot(), stamp: stamp.0.clone() }
    }

    /// The same of an image whose name, owner or mode has changed since, and whose bytes have not.
    pub fn moved(&self, stamp: &Stamp) -> Memory {
        Memory { stamp: stamp.0.clone(), ..self.clone() }
    }

    /// What is remembered of the image at this place, if anything is.
    pub fn of(path: &Path, cache: &Path) -> Option<Memory> {
        parse(&std::fs::read_to_string(place(path, cache).ok()?).ok()?)
    }

    /// Remembers it.
    pub fn write(&self, path: &Path, cache: &Path) -> anyhow::Result<()> {
        let memory = place(path, cache)?;
        put_in_cache(&memory, self.text().as_bytes()).with_context(|| format!("writing {}", memory.display()))
    }

    fn text(&self) -> String {
        let Memory { key, boot, stamp, .. } = self;
        let seed = self.seed.map(|seed| seed.to_string()).unwrap_or_default();
        let newest = self.newest.map(|newest| newest.to_string()).unwrap_or_default();
        format!("{key}\n{stamp}\n{boot}\n{seed}\n{newest}\n")
    }

    /// Whether nobody has touched the image since it was written.
    pub fn vouches_for(&self, stamp: &Stamp) -> bool {
        self.stamp == stamp.0
    }

    /// Whether the image is the one that follows from this key, and whole.
    pub fn is_current(&self, key: &str) -> bool {
        self.key == key && self.boot == boot()
    }
}

fn parse(text: &str) -> Option<Memory> {
    let mut lines = text.lines().map(str::to_string);
    let (key, stamp) = (lines.next()?, known_stamp(&lines.next()?));
    let boot = lines.next().unwrap_or_default();
    let seed = lines.next().and_then(|seed| seed.parse().ok());
    let newest = lines.next().and_then(|newest| newest.parse().ok());
    Some(Memory { key, seed, newest, boot, stamp })
}

/// A stamp as it is written now, of one that an earlier version may have written: `DEV INO LEN (MTIME, NS, CTIME, NS)` or `INO LEN
/// MTIME CTIME`. An image stays one that was built here when cairn itself is upgraded.
fn known_stamp(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().map(|word| word.trim_matches(['(', ')', ','])).collect();
    match words[..] {
        [_, _, len, mtime, mtime_ns, ctime, ctime_ns] => format!("{len} {mtime}.{mtime_ns:0>9} {ctime}.{ctime_ns:0>9}"),
        [_, len, mtime, ctime] => format!("{len} {mtime} {ctime}"),
        _ => line.to_string(),
    }
}

/// What `stat` says of a file that changes whenever the file does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp(String);

impl Stamp {
    /// What is said of the regular file at a path.
    pub fn of(path: &Path) -> std::io::Result<Stamp> {
        let m = path.symlink_metadata()?;
        if !m.is_file() {
            return Err(std::io::Error::other("it is no regular file"));
        }
        // Not the device nor the inode: their numbers may be others after the next mount.
        Ok(Stamp(format!("{} {}.{:09} {}.{:09}", m.len(), m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec())))
    }

    /// Whether the two are of a file whose bytes are the same, and whose name, owner or mode may have changed in between.
    pub fn same_bytes(&self, other: &Stamp) -> bool {
        let without_change = |stamp: &Stamp| stamp.0.rsplit_once(' ').map(|(bytes, _)| bytes.to_string());
        without_change(self) == without_change(other)
    }
}

/// The name of this start of the computer.
fn boot() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_string()
}

/// The name of the memory: one for each place of an image.
pub fn place(path: &Path, cache: &Path) -> anyhow::Result<PathBuf> {
    let whole = std::path::absolute(path)?;
    // The folder may have several names.
    let whole = match (whole.parent().and_then(|folder| folder.canonicalize().ok()), whole.file_name()) {
        (Some(folder), Some(name)) => folder.join(name),
        _ => whole,
    };
    let name = Uuid::new_v5(&Uuid::NAMESPACE_URL, whole.as_os_str().as_encoded_bytes());
    Ok(cache.join("outputs").join(name.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_write_and_nothing_else_ends_what_is_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.raw");
        std::fs::write(&path, "built").unwrap();
        let stamp = Stamp::of(&path).unwrap();
        let memory = parse(&Memory::new("key", Uuid::from_u128(7), 2, &stamp).text()).unwrap();
        assert_eq!((memory.seed, memory.newest), (Some(Uuid::from_u128(7)), Some(2)));
        assert!(memory.vouches_for(&Stamp::of(&path).unwrap()));
        assert!(memory.is_current("key") && !memory.is_current("other"));
        std::fs::read(&path).unwrap();
        assert!(memory.vouches_for(&Stamp::of(&path).unwrap()));
        // The same length, and a time of writing that somebody has put back.
        let written = path.metadata().unwrap().modified().unwrap();
        // Until the clock that the times come from has ticked.
        while memory.vouches_for(&Stamp::of(&path).unwrap()) {
            std::fs::write(&path, "built").unwrap();
            std::fs::File::options().write(true).open(&path).unwrap().set_modified(written).unwrap();
        }
        let now = Stamp::of(&path).unwrap();
        assert!(now.same_bytes(&stamp));
        assert!(!memory.vouches_for(&now));
    }

    #[test]
    fn what_an_earlier_version_has_remembered_holds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.raw");
        std::fs::write(&path, "built").unwrap();
        let m = path.metadata().unwrap();
        let times = (m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec());
        let now = Stamp::of(&path).unwrap();
        for stamp in [
            format!("{} {} {} {times:?}", m.dev(), m.ino(), m.len()),
            format!("{} {} {}.{:09} {}.{:09}", m.ino(), m.len(), times.0, times.1, times.2, times.3),
        ] {
            let of = |len| parse(&format!("key\n{}\n", stamp.replacen(&format!(" {} ", m.len()), len, 1))).unwrap();
            assert!(of(" 5 ").vouches_for(&now), "{stamp}");
            assert!(!of(" 4 ").vouches_for(&now), "{stamp}");
        }
    }

    #[test]
    fn an_image_of_another_start_is_untouched_and_not_surely_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.raw");
        std::fs::write(&path, "built").unwrap();
        let stamp = Stamp::of(&path).unwrap();
        let text = Memory::new("key", Uuid::nil(), 1, &stamp).text().replace(&boot(), "another");
        let memory = parse(&text).unwrap();
        assert!(memory.vouches_for(&stamp) && !memory.is_current("key"));
    }
}
