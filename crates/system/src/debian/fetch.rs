//! The .deb files of a lock, by hash in the cache; apt's own client fetches those that are missing.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use cairn_machine::lock::{Lock, LockedPackage};
use cairn_machine::model::Machine;
use cairn_process::{Report, ToolError};
use cairn_store::to_hex;
use sha2::{Digest, Sha256};

use super::apt::{self, Apt};
use super::error::Error;
use super::index::is_sha256;
use super::mirror::Mirror;
use super::request;
use super::temporary::Temporary;

/// How many files one run of apt's client gets; each takes about 300 bytes of its command line.
const BATCH: usize = 500;

/// Brings every .deb of the lock into the cache and gives their paths, in the lock's order. What is there already is
/// checked against the lock; what is damaged is fetched again.
pub(super) fn fetch(lock: &Lock, machine: &Machine, cache: &Path, report: &dyn Report) -> Result<Vec<PathBuf>, Error> {
    let debs = cache.join("debs");
    fs::create_dir_all(&debs).map_err(Error::io("making the folder", &debs))?;
    let packages = &lock.debian().packages;
    report.phase("checking cached packages", Some(packages.len() as u64));
    let mut missing = Vec::new();
    for package in packages {
        check_entry(package)?;
        let path = debs.join(file_name(package));
        match verify(package, &path) {
            Ok(()) => {}
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => missing.push(package),
            Err(Error::Mismatch { .. }) => {
                report.note(&format!("the cached package {} is damaged; it is fetched again", title(package)));
                fs::remove_file(&path).map_err(Error::io("removing", &path))?;
                missing.push(package);
            }
            Err(other) => return Err(other),
        }
        report.advance(1);
    }
    if !missing.is_empty() {
        download(&missing, machine, &debs, report)?;
    }
    Ok(packages.iter().map(|p| debs.join(file_name(p))).collect())
}

/// A lock is a file that people edit; nothing of it may become an option, a pattern or a path elsewhere.
fn check_entry(package: &LockedPackage) -> Result<(), Error> {
    let odd = |what: &'static str, expected: &str, found: &str| Error::Mismatch {
        package: title(package),
        what,
        expected: expected.into(),
        found: format!("'{found}'"),
    };
    if !request::is_package_name(&package.name) {
        return Err(odd("its name", "a package name", &package.name));
    }
    if !is_sha256(&package.sha256) {
        return Err(odd("its SHA-256", "64 lowercase hex digits", &package.sha256));
    }
    let path = &package.filename;
    if path.starts_with('/') || path.split('/').any(|part| part == "..") || !path.chars().all(|c| c.is_ascii_graphic())
    {
        return Err(odd("its file name", "a path below the mirror", path));
    }
    Ok(())
}

fn download(missing: &[&LockedPackage], machine: &Machine, debs: &Path, report: &dyn Report) -> Result<(), Error> {
    let mirror = Mirror::of(machine)?;
    // Inside the cache, so that a finished file is moved into place by a rename.
    let dir = Temporary::new(debs, ".new-")?;
    let architecture = machine.architecture.debian();
    let apt = Apt::new(&dir.path().join("apt"), architecture, "", true)?;

    let mut left: Vec<&LockedPackage> = missing.to_vec();
    let mut said = String::new();
    // Round by round: a file is asked for at its likeliest place first.
    for round in 0.. {
        let jobs: Vec<(&LockedPackage, String)> =
            left.iter().filter_map(|p| Some((*p, mirror.uris(&p.filename).into_iter().nth(round)?))).collect();
        if jobs.is_empty() {
            break;
        }
        report.phase("downloading packages", Some(jobs.len() as u64));
        for batch in jobs.chunks(BATCH) {
            said += &run(&apt, batch, dir.path(), report)?;
        }
        let mut still = Vec::new();
        for package in left {
            let path = dir.path().join(file_name(package));
            if !path.exists() {
                still.push(package);
                continue;
            }
            verify(package, &path)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).map_err(Error::io("opening up", &path))?;
            let place = debs.join(file_name(package));
            fs::rename(&path, &place).map_err(Error::io("moving a package to", place))?;
        }
        left = still;
    }
    if left.is_empty() { Ok(()) } else { Err(failure(&left, &mirror, &said)) }
}

/// One run of apt's client. Gives what it said on standard error; which files came is seen by looking.
fn run(apt: &Apt, jobs: &[(&LockedPackage, String)], dir: &Path, report: &dyn Report) -> Result<String, Error> {
    let mut tool = apt.tool("/usr/lib/apt/apt-helper", "download packages").args(["-q", "download-file"]);
    for (package, uri) in jobs {
        let target = dir.join(file_name(package)).into_os_string();
        tool = tool.arg(uri).arg(target).arg(format!("SHA256:{}", package.sha256));
    }
    let (out, ended) = apt::run(tool, |line| {
        if line.starts_with("Get:") {
            report.advance(1);
        }
    })?;
    match ended {
        Ok(()) => Ok(String::new()),
        // The errors are on both: one line as each happens, and all again at the end.
        Err(ToolError::Failed { stderr, .. }) => {
            let errors: Vec<&str> = out.lines().filter(|l| l.starts_with("Err:") || l.starts_with("  ")).collect();
            Ok(format!("{}\n{stderr}\n", errors.join("\n")))
        }
        Err(other) => Err(other.into()),
    }
}

fn failure(left: &[&LockedPackage], mirror: &Mirror, said: &str) -> Error {
    let all = || left.iter().map(|p| title(p)).collect();
    if let Some(package) =
        left.iter().find(|p| said.contains("Hash Sum mismatch") && mentions(said, p, "Hash Sum mismatch"))
    {
        let found = "another file under the same name".into();
        return Error::Mismatch {
            package: title(package),
            what: "its SHA-256",
            expected: package.sha256.clone(),
            found,
        };
    }
    let gone = ["404", "File not found", "No such file", "410"];
    let gone: Vec<String> =
        left.iter().filter(|p| gone.iter().any(|word| mentions(said, p, word))).map(|p| title(p)).collect();
    if !gone.is_empty() {
        return Error::Gone { packages: gone };
    }
    let mut lines: Vec<&str> = said.lines().filter(|l| l.starts_with("E: ")).collect();
    lines.dedup();
    lines.truncate(5);
    Error::Download { packages: all(), mirror: mirror.main.clone(), detail: lines.join("; ") }
}

/// Whether apt said this word about a package's file, on the line with the file's name or the one after it.
fn mentions(said: &str, package: &LockedPackage, word: &str) -> bool {
    let lines: Vec<&str> = said.lines().collect();
    lines.iter().enumerate().any(|(i, line)| {
        line.contains(&package.filename)
            && (line.contains(word)
                || lines.get(i + 1).is_some_and(|next| next.starts_with("  ") && next.contains(word)))
    })
}

/// Compares a file with the lock: size first, then SHA-256.
fn verify(package: &LockedPackage, path: &Path) -> Result<(), Error> {
    let mut file = File::open(path).map_err(Error::io("opening", path))?;
    let size = file.metadata().map_err(Error::io("reading", path))?.len();
    let differs =
        |what, expected: String, found: String| Error::Mismatch { package: title(package), what, expected, found };
    if size != package.size {
        return Err(differs("its size", package.size.to_string(), size.to_string()));
    }
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer).map_err(Error::io("reading", path))? {
            0 => break,
            n => hash.update(&buffer[..n]),
        }
    }
    let found = to_hex(&hash.finalize());
    if found == package.sha256 { Ok(()) } else { Err(differs("its SHA-256", package.sha256.clone(), found)) }
}

/// The name of a package in the cache.
pub(super) fn file_name(package: &LockedPackage) -> String {
    format!("{}.deb", package.sha256)
}

/// Name and version, for messages.
pub(super) fn title(package: &LockedPackage) -> String {
    format!("{} {}", package.name, package.version)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str) -> LockedPackage {
        LockedPackage {
            name: name.into(),
            version: "1.0".into(),
            architecture: "all".into(),
            filename: format!("pool/main/{name}_1.0_all.deb"),
            size: 3,
            sha256: to_hex(&Sha256::digest("abc")),
        }
    }

    fn mirror() -> Mirror {
        Mirror { main: "http://m.example/debian".into(), security: None, given: true }
    }

    #[test]
    fn a_package_that_is_gone_is_told_with_the_two_ways_on() {
        let (a, b) = (package("aa"), package("bb"));
        let said = "Err:1 http://m.example/debian/pool/main/aa_1.0_all.deb\n  404  Not Found [IP: 1.2.3.4 80]\n\
                    E: Failed to fetch http://m.example/debian/pool/main/bb_1.0_all.deb  404  Not Found\n\
                    E: Download Failed\n";
        let text = failure(&[&a, &b], &mirror(), said).to_string();
        assert!(text.starts_with("the mirror no longer has aa 1.0, bb 1.0; either"), "{text}");
        assert!(text.contains("`cairn lock --update FILE`") && text.contains("source.debian.mirror"), "{text}");
    }

    #[test]
    fn a_mirror_out_of_reach_is_another_error() {
        let a = package("aa");
        let said = "E: Failed to fetch http://m.example/debian/pool/main/aa_1.0_all.deb  Could not connect\nE: Download Failed\n";
        let text = failure(&[&a], &mirror(), said).to_string();
        assert!(text.starts_with("downloading aa 1.0 from http://m.example/debian: E: Failed to fetch"), "{text}");
    }

    #[test]
    fn a_file_that_differs_is_found_by_size_and_by_hash() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.deb");
        fs::write(&path, "abc").unwrap();
        verify(&package("aa"), &path).unwrap();
        fs::write(&path, "abd").unwrap();
        assert!(verify(&package("aa"), &path).unwrap_err().to_string().contains("its SHA-256 should be ba7816bf"));
        fs::write(&path, "abcd").unwrap();
        assert!(verify(&package("aa"), &path).unwrap_err().to_string().contains("its size should be 3, and is 4"));
    }

    #[test]
    fn an_edited_lock_cannot_reach_outside() {
        let mut p = package("aa");
        p.filename = "pool/../../etc/passwd".into();
        assert!(check_entry(&p).is_err());
        p = package("aa");
        p.sha256 = "../../../etc/passwd".into();
        assert!(check_entry(&p).is_err());
        p = package("aa");
        p.name = "-oDir=/".into();
        assert!(check_entry(&p).is_err());
    }
}
