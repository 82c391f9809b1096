//! The lock: what apt would install today, with exact versions and hashes.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::Path;

use cairn_machine::lock::{Lock, LockedDebian};
use cairn_machine::model::Machine;
use cairn_process::{Report, ToolError};
use cairn_store::to_hex;
use sha2::{Digest, Sha256};

use super::apt::Apt;
use super::error::Error;
use super::index::Index;
use super::mirror::Mirror;
use super::stanza::{INITRD, field, initrd_stanza};
use super::{date, recommended, request};

/// Resolves a machine's packages against its mirror.
///
/// apt does it, in a folder of its own below `cache`, with the lists' signatures checked against Debian's archive keys;
/// this machine's own sources and packages play no part. Recommended packages are left out, and named, unless the machine file wants
/// them. Nothing but the cache is written.
///
/// # Errors
/// A package that does not exist (with its place in the machine file: [`Error::pointer`]), packages that contradict
/// each other, a mirror that cannot be read or is not signed.
pub fn lock(machine: &Machine, cache: &Path, report: &dyn Report) -> Result<Lock, Error> {
    request::check(machine)?;
    let source = machine.source.debian();
    let architecture = machine.architecture.debian();
    let mirror = Mirror::of(machine)?;
    Mirror::check_keyring()?;

    let sources = mirror.sources(&source.suite, &source.components, architecture);
    let dir = cache.join("apt").join(&to_hex(&Sha256::digest(&sources))[..16]);
    fs::create_dir_all(&dir).map_err(Error::io("making the folder", &dir))?;
    let dir = dir.canonicalize().map_err(Error::io("finding", &dir))?;
    // One lock at a time: two apts in one folder would refuse each other with a message nobody expects.
    let lock_file = dir.join("cairn.lock");
    let guard = File::create(&lock_file).map_err(Error::io("making", &lock_file))?;
    guard.lock().map_err(Error::io("locking", &lock_file))?;

    report.phase("reading the package lists", None);
    let requested = request::requested(machine);
    let (needed, either) = request::for_apt(machine, &requested);
    let local = local_list(&dir, &either)?;
    let apt = Apt::new(&dir, architecture, &(sources + &local), !mirror.given)?;
    apt.update().map_err(|source| lists_error(&mirror, source))?;
    let index = Index::read(&apt.package_lists()?)?;

    report.phase("choosing packages", None);
    check_names(machine, &requested, &index)?;
    let wanted: BTreeSet<&str> = index.essential().iter().map(String::as_str).chain(needed).chain([INITRD]).collect();
    let chosen = apt.simulate(&wanted.into_iter().collect::<Vec<_>>(), source.recommends)?;
    if !source.recommends {
        for note in recommended::left_out(&source.packages, &chosen, &index) {
            report.note(&note);
        }
    }
    let mut packages = Vec::with_capacity(chosen.len());
    for package in chosen.iter().filter(|c| c.name != INITRD) {
        let found = index.get(package).ok_or_else(|| Error::Answer {
            program: "apt-get".into(),
            detail: format!("it chose {} {}, which is in no list", package.name, package.version),
        })?;
        packages.push(found.clone());
    }
    let debian = LockedDebian {
        suite: source.suite.clone(),
        components: source.components.clone(),
        architecture: architecture.into(),
        recommends: source.recommends,
        debconf: source.debconf.clone(),
        requested: requested.into_iter().collect(),
        date: newest_release(&apt)?,
        packages,
    };
    let lock = Lock::Debian(debian);
    request::check_kernels(machine, &lock)?;
    Ok(lock)
}

/// A repository with nothing but the list that names our stand-in for an initramfs generator, so that apt chooses it
/// over initramfs-tools. (Its .deb is made where it is installed.) It brings what gives way to others, or these.
fn local_list(dir: &Path, either: &str) -> Result<String, Error> {
    let local = dir.join("local");
    fs::create_dir_all(&local).map_err(Error::io("making the folder", &local))?;
    let mut stanza = format!("{}Filename: ./{INITRD}.deb\nSize: 1\nSHA256: {}\n", initrd_stanza(), "0".repeat(64));
    if !either.is_empty() {
        stanza += &format!("Depends: {either}\n");
    }
    let list = local.join("Packages");
    fs::write(&list, stanza).map_err(Error::io("writing", &list))?;
    Ok(super::repository::source_line(&local))
}

/// Every name that is no package, so that nobody has to ask once for each.
fn check_names(machine: &Machine, requested: &BTreeSet<String>, index: &Index) -> Result<(), Error> {
    let source = machine.source.debian();
    let suite = format!("{} ({})", source.suite, source.components.join(", "));
    let mut wrong = requested.iter().filter(|name| !index.has(name)).map(|name| {
        let (name, pointer, providers) = (name.clone(), request::pointer(machine, name), index.providers(name));
        if providers.is_empty() {
            Error::UnknownPackage { nearest: index.nearest(&name), name, pointer, suite: suite.clone() }
        } else {
            Error::VirtualPackage { name, pointer, providers }
        }
    });
    match (wrong.next(), wrong.next()) {
        (None, _) => Ok(()),
        (Some(one), None) => Err(one),
        (Some(one), Some(two)) => Err(Error::Names([one, two].into_iter().chain(wrong).collect())),
    }
}

fn newest_release(apt: &Apt) -> Result<i64, Error> {
    let mut newest = None;
    for file in apt.release_files()? {
        let bytes = fs::read(&file).map_err(Error::io("reading", &file))?;
        let text = String::from_utf8_lossy(&bytes);
        let date = field(&text, "Date").and_then(date::parse).ok_or_else(|| Error::Answer {
            program: file.display().to_string(),
            detail: "no Date that can be read".into(),
        })?;
        newest = newest.max(Some(date));
    }
    newest.ok_or_else(|| Error::Answer { program: "apt-get".into(), detail: "it kept no Release file".into() })
}

fn lists_error(mirror: &Mirror, source: ToolError) -> Error {
    let said = source.to_string();
    let hint = [
        (["NO_PUBKEY", "not signed", "KEYEXPIRED", "BADSIG"].as_slice(), "it is not signed by Debian's archive keys"),
        (&["is expired", "not valid yet"], "its lists are too old or from the future; check this machine's clock"),
        (
            &["does not have a Release file", "404"],
            "it has no such suite; check `suite` and `mirror` in the machine file",
        ),
        (&["doesn't have the component"], "it has no such component; check `components` in the machine file"),
    ]
    .into_iter()
    .find(|(words, _)| words.iter().any(|w| said.contains(w)))
    .map_or("it cannot be reached; check the network and `source.debian.mirror` in the machine file", |(_, hint)| hint);
    Error::Lists { mirror: mirror.main.clone(), hint, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unknown_name_is_told_with_its_place_and_its_neighbours() {
        let json = r#"{"version":1,"hostname":"m","disks":{},
            "source":{"debian":{"kernel":"linux","packages":["curll","bash","ssh-server","wgett"]}}}"#;
        let machine: Machine = serde_json::from_str(json).unwrap();
        let stanza = |name: &str, more: &str| {
            format!(
                "Package: {name}\nVersion: 1\nArchitecture: all\n{more}Filename: x\nSize: 1\nSHA256: {}\n",
                "0".repeat(64)
            )
        };
        let text =
            [stanza("bash", ""), stanza("curl", ""), stanza("wget", ""), stanza("sshd", "Provides: ssh-server\n")];
        let index = Index::of_text(&text.join("\n")).unwrap();
        let names: BTreeSet<String> =
            machine.source.debian().packages.iter().cloned().chain(["linux".into()]).collect();
        let error = check_names(&machine, &names, &index).unwrap_err();
        let told: Vec<(String, String)> =
            error.into_parts().iter().map(|e| (e.pointer().unwrap_or_default().to_string(), e.to_string())).collect();
        let told: Vec<(&str, &str)> = told.iter().map(|(p, t)| (p.as_str(), t.as_str())).collect();
        assert_eq!(
            told,
            [
                ("/source/debian/packages/0", "there is no package 'curll' in trixie (main); did you mean curl?"),
                ("/source/debian/kernel", "there is no package 'linux' in trixie (main)"),
                ("/source/debian/packages/2", "'ssh-server' is a virtual package; choose one that provides it: sshd"),
                ("/source/debian/packages/3", "there is no package 'wgett' in trixie (main); did you mean wget?"),
            ]
        );
        assert!(check_names(&machine, &["bash".to_string()].into(), &index).is_ok());
    }
}
