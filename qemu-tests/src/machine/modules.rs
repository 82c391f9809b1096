//! What user-mode Linux needs besides the generation's own initrd: its modules, loaded before the root is put together. After
//! that they are out of reach, since `/usr` is the base's. A recorder comes with them, where there is to be one.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

use super::recorder;
use crate::{Cairn, Cmd};

/// The root is an overlay; the boot partition is FAT, with the names that the kernel wants for it by itself and those that
/// fstab says, and it is mounted when somebody looks. Services listen on IPv6.
const MODULES: [&str; 9] =
    ["overlay", "vfat", "nls_cp437", "nls_ascii", "nls_iso8859-1", "nls_utf8", "autofs4", "fuse", "ipv6"];
/// The indices by which modprobe finds them.
const INDICES: [&str; 4] = ["modules.dep.bin", "modules.builtin.bin", "modules.symbols.bin", "modules.softdep"];

/// The first process, which becomes the initrd's own.
pub const INIT: &str = "/user-mode-linux";
const SCRIPT: &str = "\
#!/bin/sh -e
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs -o mode=0755 tmpfs /run
modprobe -a MODULES
";
const GO_ON: &str = "exec /init \"$@\"\n";

/// The archive for the kernel, uncompressed; made once.
pub fn archive(cairn: &Cairn) -> Result<PathBuf> {
    let from = Modules::of_the_kernel()?;
    let script = format!("{}{GO_ON}", SCRIPT.replace("MODULES", &MODULES.join(" ")));
    let built = std::fs::metadata(from.folder.join("modules.dep.bin"))?.modified()?;
    let print = format!("{:x}", Sha256::digest(format!("{}{script}{INDICES:?}{built:?}", from.release)));
    let archive = cairn.work.join(format!("uml-{}.cpio", &print[..16]));
    let turn = File::create(cairn.work.join("uml.turn"))?;
    turn.lock().context("waiting for the others")?;
    if !archive.exists() {
        let tree = tempfile::tempdir()?;
        from.put(&MODULES, &script, tree.path())?;
        pack(tree.path(), &archive)?;
    }
    Ok(archive)
}

/// The same with a recorder, into this file: its programs may be others tomorrow.
pub fn with_recorder(archive: &Path) -> Result<()> {
    let modules: Vec<&str> = MODULES.into_iter().chain(recorder::MODULES).collect();
    let script = format!("{}{}\n{GO_ON}", SCRIPT.replace("MODULES", &modules.join(" ")), recorder::BEGIN);
    let tree = tempfile::tempdir()?;
    Modules::of_the_kernel()?.put(&modules, &script, tree.path())?;
    recorder::put(tree.path())?;
    pack(tree.path(), archive)
}

/// Where the kernel's modules are.
struct Modules {
    release: String,
    folder: PathBuf,
}

impl Modules {
    fn of_the_kernel() -> Result<Modules> {
        let release = Cmd::new("linux.uml").arg("--version").ok()?.trim().to_string();
        let folder = PathBuf::from("/usr/lib/uml/modules").join(&release);
        ensure!(folder.is_dir(), "no modules for user-mode Linux {release}");
        Ok(Modules { release, folder })
    }

    /// Puts these modules, and the script that loads them, into an initrd's tree.
    fn put(&self, modules: &[&str], script: &str, tree: &Path) -> Result<()> {
        let put = |path: &str| -> Result<PathBuf> {
            let to = tree.join(path);
            std::fs::create_dir_all(to.parent().context("no folder")?)?;
            Ok(to)
        };
        let init = tree.join(INIT.trim_start_matches('/'));
        std::fs::write(&init, script)?;
        std::fs::set_permissions(&init, std::fs::Permissions::from_mode(0o755))?;
        let to = format!("usr/lib/modules/{}", self.release);
        let files = files(&std::fs::read_to_string(self.folder.join("modules.dep"))?, modules)?;
        for file in files.iter().map(String::as_str).chain(INDICES) {
            let to = put(&format!("{to}/{file}"))?;
            std::fs::copy(self.folder.join(file), to).with_context(|| format!("copying {file}"))?;
        }
        Ok(())
    }
}

/// Whole or not at all.
fn pack(tree: &Path, archive: &Path) -> Result<()> {
    let new = archive.with_extension("new");
    let list = "find . -mindepth 1 | LC_ALL=C sort | cpio --quiet --owner 0:0 -o -H newc >\"$0\"";
    Cmd::new("sh").args(["-c", list]).arg(&new).dir(tree).ok()?;
    Ok(std::fs::rename(new, archive)?)
}

/// The files of the modules that are wanted, and of all that these need. What is in no list is in the kernel itself.
fn files(dependencies: &str, modules: &[&str]) -> Result<BTreeSet<String>> {
    // `fat.ko`, or compressed.
    let name =
        |path: &str| path.rsplit('/').next().and_then(|file| file.split('.').next()).map(|n| n.replace('_', "-"));
    let mut found = BTreeSet::new();
    for line in dependencies.lines() {
        let (file, needs) = line.split_once(':').with_context(|| format!("no list of needs: {line}"))?;
        if modules.iter().any(|module| name(module) == name(file)) {
            // All of them, those of a need as well.
            found.extend(needs.split_whitespace().chain([file]).map(str::to_string));
        }
    }
    ensure!(!found.is_empty(), "user-mode Linux has none of the modules {modules:?}");
    Ok(found)
}
