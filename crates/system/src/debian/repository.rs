//! A repository in a folder that holds exactly the packages of a lock, for mmdebstrap to install from.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use cairn_machine::lock::{Lock, LockedPackage};
use cairn_process::{Report, Tool};
use cairn_store::to_hex;
use sha2::{Digest, Sha256};

use super::error::Error;
use super::fetch::title;
use super::stanza::{INITRD, field, initrd_stanza};
use super::temporary::Temporary;

/// The line of a sources.list for a folder with a list of packages in it. Its contents are checked by us, not signed.
pub(super) fn source_line(dir: &Path) -> String {
    // copy: rather than file:, or apt would look for the file inside the tree that is being made.
    let mut uri = String::from("copy:");
    for byte in dir.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => uri.push(char::from(*byte)),
            other => uri += &format!("%{other:02x}"),
        }
    }
    format!("deb [trusted=yes] {uri} ./\n")
}

/// The repository; gone when dropped.
#[derive(Debug)]
pub(super) struct Repository {
    dir: Temporary,
}

impl Repository {
    /// Makes one of a lock and its files, which are in the lock's order.
    pub(super) fn new(lock: &Lock, debs: &[PathBuf], report: &dyn Report) -> Result<Repository, Error> {
        // Not in the cache: an ordinary user's mmdebstrap works as another user id, who may not look into homes.
        let dir = Temporary::new(&std::env::temp_dir(), "cairn-packages-")?;
        open_up(dir.path(), 0o755)?;
        let packages = &lock.debian().packages;
        report.phase("preparing packages", Some(packages.len() as u64));
        let mut list = stand_in(dir.path(), lock.debian().date)?;
        let controls = controls(packages, debs, report)?;
        for ((package, deb), stanza) in packages.iter().zip(debs).zip(controls) {
            list += &format!("{stanza}\n");
            link_or_copy(deb, &dir.path().join(format!("{}.deb", package.sha256)))?;
        }
        write_readable(&dir.path().join("Packages"), &list)?;
        write_readable(&dir.path().join("Release"), &release(&lock.debian().suite, &list))?;
        Ok(Repository { dir })
    }

    /// Puts a script beside the packages, where an ordinary user's mmdebstrap can read it, and gives its path.
    pub(super) fn script(&self, name: &str, text: &str) -> Result<PathBuf, Error> {
        let path = self.dir.path().join(name);
        write_readable(&path, text)?;
        Ok(path)
    }

    /// Where it is.
    pub(super) fn source_line(&self) -> String {
        source_line(self.dir.path())
    }
}

/// mmdebstrap takes only those essential packages that come from the suite it makes.
fn release(suite: &str, list: &str) -> String {
    let (hash, size) = (to_hex(&Sha256::digest(list)), list.len());
    format!("Codename: {suite}\nSuite: {suite}\nSHA256:\n {hash} {size} Packages\n")
}

/// The control data of every package, with what a list needs beside it. Two threads: one dpkg-deb takes a few
/// milliseconds, nearly all of them for starting it.
fn controls(packages: &[LockedPackage], debs: &[PathBuf], report: &dyn Report) -> Result<Vec<String>, Error> {
    let half = packages.len().div_ceil(2);
    let read = |packages: &[LockedPackage], debs: &[PathBuf]| -> Result<Vec<String>, Error> {
        let mut stanzas = Vec::with_capacity(packages.len());
        for (package, deb) in packages.iter().zip(debs) {
            stanzas.push(control(package, deb)?);
            report.advance(1);
        }
        Ok(stanzas)
    };
    let (first, second) = std::thread::scope(|scope| {
        let first = scope.spawn(|| read(&packages[..half], &debs[..half]));
        let second = read(&packages[half..], &debs[half..]);
        (first.join(), second)
    });
    let mut all = first.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    all.extend(second?);
    Ok(all)
}

fn control(package: &LockedPackage, deb: &Path) -> Result<String, Error> {
    let out =
        Tool::new("dpkg-deb", "dpkg", "read what is in a package").arg("--field").arg(deb).clean_env().output()?;
    let text = String::from_utf8_lossy(&out);
    let locked = [("Package", &package.name), ("Version", &package.version), ("Architecture", &package.architecture)];
    for (name, expected) in locked {
        let found = field(&text, name).unwrap_or_default();
        if found != expected {
            return Err(Error::Mismatch {
                package: title(package),
                what: match name {
                    "Package" => "its name",
                    "Version" => "its version",
                    _ => "its architecture",
                },
                expected: expected.clone(),
                found: found.into(),
            });
        }
    }
    let LockedPackage { size, sha256, .. } = package;
    Ok(format!("{}\nFilename: ./{sha256}.deb\nSize: {size}\nSHA256: {sha256}\n", text.trim_end()))
}

/// Builds the stand-in and gives its entry in the list.
fn stand_in(dir: &Path, date: i64) -> Result<String, Error> {
    let tree = dir.join(INITRD);
    let control_dir = tree.join("DEBIAN");
    fs::create_dir_all(&control_dir).map_err(Error::io("making the folder", &control_dir))?;
    for path in [&tree, &control_dir] {
        open_up(path, 0o755)?;
    }
    write_readable(&control_dir.join("control"), &initrd_stanza())?;
    let deb = dir.join(format!("{INITRD}.deb"));
    Tool::new("dpkg-deb", "dpkg", "build a package")
        .args(["--root-owner-group", "--build"])
        .arg(&tree)
        .arg(&deb)
        .clean_env()
        .env("SOURCE_DATE_EPOCH", date.to_string())
        .run()?;
    let bytes = fs::read(&deb).map_err(Error::io("reading", &deb))?;
    open_up(&deb, 0o644)?;
    let sha256 = to_hex(&Sha256::digest(&bytes));
    Ok(format!("{}Filename: ./{INITRD}.deb\nSize: {}\nSHA256: {sha256}\n\n", initrd_stanza(), bytes.len()))
}

fn write_readable(path: &Path, text: &str) -> Result<(), Error> {
    fs::write(path, text).map_err(Error::io("writing", path))?;
    open_up(path, 0o644)
}

/// Whatever the umask was, the tree's root reads our files as another user id.
fn open_up(path: &Path, mode: u32) -> Result<(), Error> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(Error::io("opening up", path))
}

/// A hard link where the file system allows it.
fn link_or_copy(from: &Path, to: &Path) -> Result<(), Error> {
    let readable = |m: fs::Metadata| m.permissions().mode() & 0o444 == 0o444;
    if fs::metadata(from).is_ok_and(readable) {
        match fs::hard_link(from, to) {
            Ok(()) => return Ok(()),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
            Err(_) => {} // Another file system, or a kernel that forbids links to others' files.
        }
    }
    fs::copy(from, to).map_err(Error::io("copying a package to", to))?;
    open_up(to, 0o644)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_a_blank_in_its_name_is_written_so_that_apt_reads_it() {
        assert_eq!(source_line(Path::new("/tmp/a b/[x]")), "deb [trusted=yes] copy:/tmp/a%20b/%5bx%5d ./\n");
    }

    #[test]
    fn the_stand_in_provides_what_the_kernel_depends_on() {
        assert_eq!(field(&initrd_stanza(), "Provides"), Some("linux-initramfs-tool"));
    }
}
