//! The medium in memory, so that it can be taken out.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::console::Percent;
use super::tag::Extent;
use super::tell;
use crate::error::{Context, Error};

/// Where it lies, on a file system of its own: /run is kept small.
const FOLDER: &str = "/run/cairn/medium/ram";
const FILE: &str = "/run/cairn/medium/ram/payload";
/// What the running system needs besides, in bytes.
const BESIDES: u64 = 384 << 20;
/// What the file system itself takes.
const ITS_OWN: u64 = 1 << 20;
const PIECE: usize = 1 << 20;

/// Copies a piece of the medium into memory: the copy, or, told why, none.
pub fn copy(source: &Path, extent: Extent) -> Option<PathBuf> {
    let done = fits(extent.length).and_then(|()| copied(source, extent));
    done.map(|()| FILE.into())
        .inspect_err(|why| {
            let _ = umount2(FOLDER, MntFlags::MNT_DETACH);
            tell(&format!("the medium is not copied into memory: {why}. It must stay where it is"));
        })
        .ok()
}

fn fits(length: u64) -> Result<(), Error> {
    let text = fs::read_to_string("/proc/meminfo").context("reading how much memory there is")?;
    let free = available(&text).ok_or_else(|| Error::new("how much memory is free is not known"))?;
    let needed = length.saturating_add(BESIDES);
    if free >= needed {
        return Ok(());
    }
    let mib = |bytes: u64| bytes >> 20;
    Err(Error::new(format!("that takes {} MiB of memory, and {} MiB are free", mib(needed), mib(free))))
}

/// Bytes of memory that programs may take (proc_meminfo(5)).
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    kib.checked_mul(1024)
}

fn copied(source: &Path, extent: Extent) -> Result<(), Error> {
    fs::create_dir_all(FOLDER).with_context(|| format!("making {FOLDER}"))?;
    let options = format!("mode=0700,size={}", extent.length.saturating_add(ITS_OWN));
    mount(Some("cairn-medium"), FOLDER, Some("tmpfs"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV, Some(options.as_str()))
        .with_context(|| format!("mounting {FOLDER}"))?;
    let from = File::open(source).with_context(|| format!("opening {}", source.display()))?;
    let mut to = File::create(FILE).with_context(|| format!("making {FILE}"))?;
    let mut percent = Percent::new("copied into memory", extent.length);
    let mut buffer = vec![0; PIECE];
    let mut done = 0;
    while done < extent.length {
        let piece = usize::try_from(extent.length - done).unwrap_or(PIECE).min(PIECE);
        let at = extent.offset + done;
        from.read_exact_at(&mut buffer[..piece], at).with_context(|| format!("reading the medium at byte {at}"))?;
        to.write_all(&buffer[..piece]).with_context(|| format!("writing {FILE}"))?;
        done += piece as u64;
        percent.at(done);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_free_is_read() {
        let text = "MemTotal:       24684992 kB\nMemFree:          2000 kB\nMemAvailable:   1000 kB\n";
        assert_eq!(available(text), Some(1_024_000));
        for none in ["", "MemFree: 1 kB\n", "MemAvailable: x kB\n", "MemAvailable: 18446744073709551615 kB\n"] {
            assert_eq!(available(none), None, "{none}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_with_figures() {
        let error = fits(u64::MAX).unwrap_err().to_string();
        assert!(error.starts_with("that takes 17592186044415 MiB of memory, and "), "{error}");
    }
}
