//! On file systems with reflinks an image shares its blocks with the store: the same bytes for a fraction of the room.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use qemu_tests::command::same_bytes;
use qemu_tests::disk::{ROOT, extract, find, partitions};
use qemu_tests::hello::Hello;
use qemu_tests::{Cairn, Cmd, Scenario, cached};

pub const XFS: Scenario = Scenario {
    name: "on xfs an image shares blocks with the store and has the same bytes",
    needs: &["root", "/dev/loop-control", "mmdebstrap", "mount", "mkfs.xfs", "filefrag", "e2fsck"],
    run: |cairn| run(cairn, &["mkfs.xfs", "-q"]),
};

pub const BTRFS: Scenario = Scenario {
    name: "on btrfs an image shares blocks with the store and has the same bytes",
    needs: &["root", "/dev/loop-control", "mmdebstrap", "mount", "mkfs.btrfs", "filefrag", "e2fsck"],
    run: |cairn| run(cairn, &["mkfs.btrfs", "-q"]),
};

/// A file system in a file, mounted; not any more when it is dropped.
struct Mounted(PathBuf);

impl Mounted {
    fn new(mkfs: &[&str], folder: &Path) -> Result<Mounted> {
        let disk = folder.join("disk");
        File::create(&disk)?.set_len(4 << 30)?;
        Cmd::new(mkfs[0]).args(&mkfs[1..]).arg(&disk).ok()?;
        let at = folder.join("mounted");
        std::fs::create_dir(&at)?;
        Cmd::new("mount").args(["-o", "loop"]).arg(&disk).arg(&at).ok()?;
        Ok(Mounted(at))
    }

    /// Bytes in use when everything is on the disk.
    fn used(&self) -> Result<u64> {
        Cmd::new("sync").arg("-f").arg(&self.0).ok()?;
        let said = Cmd::new("df").args(["-B1", "--output=used"]).arg(&self.0).ok()?;
        let last = said.lines().last().unwrap_or_default().trim();
        last.parse().with_context(|| format!("df says {said}"))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let done = Cmd::new("umount").arg(&self.0).run();
        if !done.is_ok_and(|done| done.status.success()) {
            let _ = Cmd::new("umount").arg("-l").arg(&self.0).run();
        }
    }
}

/// Bytes of a file that it shares with others, as the file system tells (FIEMAP).
fn shared(file: &Path) -> Result<u64> {
    let said = Cmd::new("filefrag").args(["-b4096", "-v"]).arg(file).ok()?;
    // Number, logical and physical place, length in blocks, perhaps the expected place, flags.
    let length = |line: &str| line.split(':').nth(3)?.trim().parse::<u64>().ok();
    Ok(said.lines().filter(|line| line.contains("shared")).filter_map(length).sum::<u64>() * 4096)
}

fn run(cairn: &Cairn, mkfs: &[&str]) -> Result<()> {
    let hello = Hello::get(cairn)?;
    let folder = tempfile::tempdir()?;
    let mounted = Mounted::new(mkfs, folder.path())?;
    let (cache, out) = (mounted.0.join("cache"), mounted.0.join("out"));
    cached::copy(cairn, &cached::closure(cairn, &hello.raw)?, &cache, &[])?;
    Cmd::new("cp").args(["-a", "--"]).arg(cairn.cache().join("cairn/initrds")).arg(cache.join("cairn")).ok()?;
    let file = hello.edited(&mounted.0.join("machine"), |text| text)?;
    let build = cairn.cmd(["build", "--format", "raw"]).arg(&file).arg("-o").arg(&out);
    let before = mounted.used()?;
    build.env("XDG_CACHE_HOME", &cache).run()?.must(0)?;
    let new = mounted.used()?.saturating_sub(before);

    let image = out.join("hello.raw");
    same_bytes(&hello.raw, &image)?;
    let root = folder.path().join("root");
    extract(&image, find(&partitions(&image)?, ROOT)?, &root)?;
    Cmd::new("e2fsck").arg("-fn").arg(&root).run()?.must(0)?;
    let taken = image.metadata()?.blocks() * 512;
    let shared = shared(&image)?;
    ensure!(new < taken / 2, "the image of {taken} bytes took {new} new ones");
    ensure!(shared > taken / 2, "of {taken} bytes {shared} are shared");
    Ok(())
}
