//! What it takes to install in front of an emulated computer that has no network: a machine that installs, and a disk with all that
//! `cairn install` needs for one more machine of the same packages. Both are made once for all scenarios, which throw away what they
//! write to them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::generations::{self, File, GRUB_UEFI, Kind, beside};
use crate::machine::Firmware;
use crate::{Cairn, Cmd, cached};

/// The machine file's name on the disk, where that disk is mounted.
pub const FILE: &str = "machine/machine.yaml";

/// A machine of the packages that are on the disk: Debian's kernel for real computers, and what looks at firmware and partition tables.
/// Where the firmware has a menu, that is to have it.
pub fn file(host: &'static str, kind: Kind) -> File {
    File {
        kernel: Some("linux-image-amd64"),
        // Nobody is there to choose.
        timeout: 0,
        packages: &["efibootmgr", "gdisk"],
        boot: if kind.firmware == Firmware::Uefi { &["nvram: true"] } else { &[] },
        ..File::named(host)
    }
}

/// The two disks.
#[derive(Debug, Clone)]
pub struct Installer {
    /// The machine that installs, which every firmware starts.
    pub machine: PathBuf,
    /// An ext4 with a cache of cairn's, and beside it the lock file and the other files of a machine file.
    pub cache: PathBuf,
}

impl Installer {
    /// Makes them, unless they are there.
    pub fn get(cairn: &Cairn) -> Result<Installer> {
        let folder = cairn.work.join("installing");
        fs::create_dir_all(&folder)?;
        let turn = fs::File::create(folder.join("turn"))?;
        turn.lock().context("waiting for the others")?;
        let machine = generations::disk(cairn, GRUB_UEFI, &file("installer", GRUB_UEFI), &folder)?;
        let base = cached::base(cairn, &machine)?;
        let cache = folder.join(format!("{base}.ext4"));
        if !cache.exists() {
            let new = folder.join("new.ext4");
            make(cairn, &base, &folder.join("new.lock"), &new)?;
            fs::rename(&new, &cache)?;
        }
        Ok(Installer { machine, cache })
    }
}

/// Makes the disk. Nothing of it is a copy: the folder has the files of the cache under a second name.
fn make(cairn: &Cairn, base: &str, lock: &Path, disk: &Path) -> Result<()> {
    let tree = tempfile::tempdir_in(&cairn.work)?;
    cached::copy(cairn, &[base.to_string()], tree.path(), &["-l"])?;
    let files = tree.path().join("machine");
    fs::create_dir_all(&files)?;
    beside(&files)?;
    fs::copy(lock, files.join("machine.lock"))?;
    // Room for the system that is made of it, and what lies in between.
    fs::File::create(disk)?.set_len(3 << 30)?;
    let made = Cmd::new("mke2fs").args(["-q", "-t", "ext4", "-d"]).arg(tree.path()).arg(disk).ok();
    // The store's folders are read-only; those in the tree are its own.
    Cmd::new("find").arg(tree.path()).args(["-type", "d", "-exec", "chmod", "u+w", "{}", "+"]).ok()?;
    made.map(drop)
}
