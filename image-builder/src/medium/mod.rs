//! The medium from which systems are installed: a system of its own that runs in memory, and the bases of those that it installs.
//!
//! Everything is made as for any machine: files, locks, bases, a system. What is written is one file ([`cairn_disk::medium`]).

mod add;
mod boot;
mod payload;
mod systems;

use std::path::{Path, PathBuf};

use anyhow::Context;
use cairn_disk::fat::FatFile;
use cairn_disk::medium::{Medium, Tag};
use cairn_disk::output::NewFile;
use cairn_disk::{Content, Entry, FileSource, FileTarget, Node, Tree};
use cairn_machine::lock::Lock;
use cairn_make::contents::add_store;
use cairn_make::live::live;
use cairn_make::{Kit, MachineFile, lock_file};
use cairn_process::{Refusal, Report};
use cairn_store::{PathInfo, Store};
use cairn_system::debian;

pub use add::{ANSWERS, KEYS, WIFI, add};
pub use systems::{Firmware, Offered, beside, offered};

/// What the folder beside a medium ends in.
const FOLDER: &str = "medium";
/// The medium's own machine file.
const LIVE: &str = include_str!("live.yaml");

/// What the place for answers says of itself.
const README: &str = "\
This is the part of the installation medium that can be written to.\r\n\
\r\n\
machine.yaml     a machine file with `install:`: it is installed without a question\r\n\
wifi.txt         a wireless network to join: its name in the first line, its passphrase in the second\r\n\
authorized_keys  SSH keys: with them you log in as root while the medium runs\r\n\
logs\\            what was installed from this medium, and what went wrong\r\n";

/// What somebody wants.
#[derive(Debug)]
pub struct Wish<'a> {
    /// The machine files of the systems that the medium can install; none: a plain one.
    pub systems: &'a [PathBuf],
    /// Firmware for devices.
    pub firmware: Firmware,
    /// Where the medium goes.
    pub output: &'a Path,
}

/// What was made.
#[derive(Debug)]
pub struct Made {
    /// Its bytes.
    pub bytes: u64,
    /// Those of the payload.
    pub payload: u64,
    /// The root of its hashes.
    pub root_hash: String,
    /// The systems on it.
    pub systems: Vec<String>,
}

/// Makes a medium.
///
/// Beside it there is a folder, named as it and ending in `.medium`, with the machine files that it was made from and their locks: with them the same
/// medium can be made again.
///
/// # Errors
/// What is wrong with the machine files; what making, the packages and the system say.
pub fn make(wish: &Wish<'_>, kit: &Kit, report: &dyn Report) -> anyhow::Result<Made> {
    let offered = offered(wish.systems, wish.firmware)?;
    let folder = wish.output.with_extension(FOLDER);
    may_be_written(wish.output, &folder)?;
    let new = NewFile::create(wish.output)?;
    std::fs::create_dir_all(&folder).with_context(|| format!("making the folder {}", folder.display()))?;
    let store = Store::open(&kit.cache)?;

    let own = own_system(&offered, wish.firmware, &folder)?;
    let live = live(&own, &store, kit, report)?;
    let mut tree = Tree::new();
    let mut closure = store.closure(std::slice::from_ref(&live.system))?;
    // It has been read when the medium is found, from beside the kernel.
    closure.retain(|info| info.path != live.initrd_path);
    let mut epoch = live.lock.date();
    let mut remembered = Vec::new();
    let mut about = Vec::new();
    for one in &offered {
        let file = folder.join(format!("{}.yaml", one.name));
        write(&file, one.text.as_bytes())?;
        let lock = lock_file::for_build(&file, &one.checked, &kit.cache, report)?;
        let base = debian::base(&lock, &one.checked.machine, &store, &kit.cache, report)
            .map_err(|e| lock_file::placed(&one.checked, e))?;
        epoch = epoch.max(lock.date());
        remembered.push(debian::remembered(&lock, &base.info.path, &kit.cache));
        about.extend(files_of(one, &lock));
        closure.push(base.info);
    }
    closure.sort_by(|a: &PathInfo, b| a.path.cmp(&b.path));
    closure.dedup_by(|a, b| a.path == b.path);
    add_store(&mut tree, &store, &closure, epoch)?;
    for (path, bytes) in remembered.into_iter().chain(about) {
        let (parent, _) = path.rsplit_once('/').unwrap_or(("", &path));
        tree.dirs(parent, epoch)?;
        let node = Node::File { len: bytes.len() as u64, content: Content::Bytes(bytes) };
        // Hashes of passwords may be among them.
        tree.push(Entry { path, mode: 0o600, uid: 0, gid: 0, mtime: epoch, node })?;
    }

    let scratch = tempfile::Builder::new().prefix(".cairn-medium-").tempdir_in(parent(wish.output));
    let scratch = scratch.context("making a folder beside the medium")?;
    let payload = payload::payload(&tree, &live.base, epoch, scratch.path(), report)?;
    report.phase("writing the medium", None);
    let boot = boot::boot_files(&live, title(&offered), &payload.root)?;
    let medium = Medium {
        label: "CAIRN",
        epoch,
        boot_sector: boot.sector,
        core: boot.core,
        cd_files: boot.cd,
        esp: boot.esp,
        payload: &payload.file,
        lengths: payload.lengths,
        root_hash: payload.root,
        spare: vec![FatFile::from_bytes("README.TXT", README)],
    };
    let file = new.file().try_clone().context("opening the medium")?;
    let target =
        FileTarget::new(file, wish.output.display().to_string(), medium.bytes()).context("opening the medium")?;
    medium.write(&target)?;
    let made = Made {
        bytes: medium.bytes(),
        payload: payload.lengths.0,
        root_hash: payload.root.iter().map(|byte| format!("{byte:02x}")).collect(),
        systems: offered.iter().map(|one| one.name.clone()).collect(),
    };
    new.commit()?;
    Ok(made)
}

/// What is there under the name is a medium, or nothing: whoever has mistyped it keeps what he has.
fn may_be_written(output: &Path, folder: &Path) -> anyhow::Result<()> {
    let refusal = |why: String| Refusal(format!("{} {why}", output.display()));
    if output == folder {
        return Err(refusal(format!(
            "is what the folder beside the medium is called: let its name not end in .{FOLDER}"
        ))
        .into());
    }
    let Ok(meta) = output.symlink_metadata() else { return Ok(()) };
    let is_medium = || -> std::io::Result<bool> {
        Ok(meta.is_file() && Tag::read(&FileSource::new(std::fs::File::open(output)?)?)?.is_some())
    };
    if is_medium().with_context(|| format!("reading {}", output.display()))? {
        return Ok(());
    }
    Err(refusal("is there, and is no medium: give the medium another name, or remove it".into()).into())
}

fn title(offered: &[Offered]) -> String {
    match offered {
        [one] => format!("Install {}", one.name),
        _ => "Install".into(),
    }
}

/// The medium's own machine file, with what it shares with the first system: suite and mirror.
fn own_system(offered: &[Offered], firmware: Firmware, folder: &Path) -> anyhow::Result<MachineFile> {
    let source = cairn_machine::SourceFile::new("live.yaml", LIVE);
    let checked = cairn_machine::check(&source, &mut |_| Err("there is none".into()))?;
    let mut machine = checked.machine.clone();
    if let Some(first) = offered.first() {
        let theirs = first.checked.machine.source.debian();
        let own = machine.source.debian_mut();
        own.suite.clone_from(&theirs.suite);
        own.mirror.clone_from(&theirs.mirror);
    }
    firmware.add_to(&mut machine);
    let text = cairn_machine::edit(&source, &checked.machine, &machine);
    let path = folder.join(format!("{}.yaml", systems::OWN));
    write(&path, text.as_bytes())?;
    Ok(path.as_path().into())
}

/// What an installer finds of a system on the medium.
fn files_of(one: &Offered, lock: &Lock) -> Vec<(String, Vec<u8>)> {
    let at = |name: &str| format!("systems/{}/{name}", one.name);
    let mut files =
        vec![(at("machine.yaml"), one.text.clone().into_bytes()), (at("machine.lock"), lock.to_yaml().into_bytes())];
    files.extend(one.beside.iter().map(|(name, bytes)| (at(name), bytes.clone())));
    files
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    std::fs::write(path, bytes).with_context(|| format!("writing {}", path.display()))
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_a_medium_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("machine.yaml"), "version: 1\n").unwrap();
        std::os::unix::fs::symlink("machine.yaml", path("link.iso")).unwrap();
        let said = |name: &str| {
            may_be_written(&path(name), &path(name).with_extension(FOLDER)).map_err(|error| error.to_string())
        };
        assert_eq!(said("new.iso"), Ok(()));
        for name in ["machine.yaml", "link.iso"] {
            assert!(said(name).unwrap_err().contains("is no medium"), "{name}");
        }
        assert!(said("x.medium").unwrap_err().contains("not end in .medium"));
        assert!(may_be_written(Path::new("/dev/null"), Path::new("/dev/null.medium")).is_err());
    }

    #[test]
    fn every_system_is_offered_with_what_an_answer_may_ask_for() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let text = "# Mine.\nversion: 1\nhostname: web\nhardware: gone.yaml\nsource: {debian: {packages: [nginx]}}\ndisks: {main: {layout: uefi}}\n";
        let all = offered(&[file("web.yaml", &text.replace("hardware: gone.yaml\n", ""))], Firmware::All).unwrap();
        let [one] = &all[..] else { panic!("{all:?}") };
        let debian = one.checked.machine.source.debian();
        for package in ["nginx", "grub-pc-bin", "systemd-boot-efi", "locales", "firmware-iwlwifi", "intel-microcode"] {
            assert!(debian.packages.iter().any(|there| there == package), "{package}");
        }
        assert_eq!(
            (debian.kernel.as_str(), debian.components.join(" ").as_str()),
            ("linux-image-amd64", "main non-free-firmware")
        );
        assert!(one.text.starts_with("# Mine.\n"), "{}", one.text);
        let small = offered(&[file("small.yaml", &text.replace("hardware: gone.yaml\n", ""))], Firmware::None).unwrap();
        assert_eq!(small[0].checked.machine.source.debian().components, ["main"]);
        assert_eq!(offered(&[], Firmware::None).unwrap()[0].name, "debian");
        for wrong in [vec![file("live.yaml", text)], vec![file("a b.yaml", text)]] {
            assert!(offered(&wrong, Firmware::None).is_err());
        }
        let twice = [folder.path().join("web.yaml"), folder.path().join("web.yaml")];
        assert!(offered(&twice, Firmware::None).unwrap_err().to_string().contains("two machine files are called web"));
    }

    #[test]
    fn the_medium_s_own_machine_file_is_sound() {
        let source = cairn_machine::SourceFile::new("live.yaml", LIVE);
        let checked = cairn_machine::check(&source, &mut |_| Err("there is none".into())).unwrap();
        assert!(checked.warnings.iter().all(|warning| warning.message.contains("log in")), "{:?}", checked.warnings);
    }
}
