//! The root of an installation medium: a file system on whatever device the medium is on, known by a tag, read through dm-verity,
//! and in a root that lies in memory.
//!
//! That root is a tmpfs because overlays, of which a root of ours has some, lie neither on an overlay nor more than two deep. Nothing
//! of the medium is written to. Whoever sits before it may be new to all this: what is wrong is told in whole sentences.

mod check;
mod console;
mod devices;
mod file;
mod find;
mod memory;
mod mount;
pub mod tag;

use std::fs;
use std::path::PathBuf;

use crate::cmdline::Parameters;
use crate::error::{Context, Error};
use crate::notes::clean;
use find::Found;
use tag::Extent;

/// What is below it is the same in the running system.
const FOLDER: &str = "/run/cairn/medium";
/// Why the medium cannot be used, and what to do, for who tells it last.
const WHY: &str = "/run/cairn/medium/why";
/// What is known of the medium, for the running system.
const WHERE: &str = "/run/cairn/medium/where";

/// A medium whose payload is mounted.
#[derive(Debug)]
pub struct Medium {
    /// The device or file that it is on.
    device: PathBuf,
}

impl Medium {
    /// Finds the medium that has this root hash, for as long as it takes, and mounts an empty root with its store.
    pub fn mount(parameters: &Parameters, root_hash: &str) -> Result<Medium, Error> {
        if !tag::is_root_hash(root_hash) {
            return Err(Error::new("cairn.medium= on the kernel's command line must be the 64 digits of a root hash"));
        }
        let found = find::find(root_hash, parameters.file.as_deref())?;
        tell(&format!("the medium is {}", found.place.display()));
        let (verified, copied) = (found.tag.verified(), memory(parameters, &found));
        let (source, extent) = match &copied {
            Some(copy) => (copy.as_path(), Extent { offset: 0, length: verified.length }),
            None => (found.place.as_path(), verified),
        };
        let device = mount::verity(source, extent, &found.tag)?;
        let medium = Medium { device: found.place.clone() };
        let checked = if parameters.check { check::run(&device, &found.tag) } else { Ok(()) };
        checked.and_then(|()| mount::payload(&device)).map_err(|error| medium.explain(error))?;
        mount::root()?;
        fs::write(WHERE, where_text(&found, copied.is_some())).with_context(|| format!("writing {WHERE}"))?;
        Ok(medium)
    }

    /// What comes after the root has been put together: the installer's cache, with the payload's store in it.
    pub fn finish(&self) -> Result<(), Error> {
        mount::cache()
    }

    /// Tells what can be done, after something has failed for which what is on the medium is the likely reason.
    pub fn explain(&self, error: Error) -> Error {
        let damage = if mount::is_corrupted() { "is damaged" } else { "is probably damaged, or its connection is" };
        let lines = [
            error.to_string(),
            format!("the medium, {}, {damage}.", self.device.display()),
            "Compare the checksum of the file that it was written from, write it again, or take another stick, disc or port."
                .into(),
        ];
        lines.iter().for_each(|line| tell(line));
        // That it cannot be said again is no other reason.
        let _ = fs::create_dir_all(FOLDER).and_then(|()| fs::write(WHY, lines.join("\n")));
        Error::new(format!("the medium {} cannot be used", self.device.display()))
    }
}

/// Says once more why the medium cannot be used: by now the initrd's systemd has said much else.
pub(crate) fn remind() -> Error {
    fs::read_to_string(WHY).unwrap_or_default().lines().for_each(tell);
    Error::new("the root is on an installation medium that cannot be used")
}

/// The copy in memory, if one is wanted and can be had.
fn memory(parameters: &Parameters, found: &Found) -> Option<PathBuf> {
    parameters.to_ram.then(|| memory::copy(&found.place, found.tag.verified())).flatten()
}

/// [`WHERE`], which is a contract with the live system.
fn where_text(found: &Found, in_memory: bool) -> String {
    let (device, spare) = (found.place.display(), found.tag.spare);
    let in_memory = if in_memory { "yes" } else { "no" };
    format!(
        "device {device}\nspare {} {}\nroot-hash {}\nram {in_memory}\n",
        spare.offset, spare.length, found.tag.root_hash
    )
}

/// Says a line, on each console: whoever is to press Enter may sit at any.
fn tell(line: &str) {
    let line = format!("cairn-stage1: {}", clean(line));
    eprintln!("{line}");
    console::on_others(&line);
}

#[cfg(test)]
mod tests {
    use super::tag::Tag;
    use super::*;

    #[test]
    fn the_running_system_is_told_where_the_medium_is() {
        let extent = |offset, length| Extent { offset, length };
        let (payload, hashes) = (extent(1 << 20, 8192), extent(1_056_768, 4096));
        let tag = Tag { root_hash: "0f".repeat(32), payload, hashes, spare: extent(1_060_864, 65536) };
        let found = Found { place: "/dev/sr0".into(), tag };
        let hash = "0f".repeat(32);
        assert_eq!(
            where_text(&found, true),
            format!("device /dev/sr0\nspare 1060864 65536\nroot-hash {hash}\nram yes\n")
        );
    }
}
