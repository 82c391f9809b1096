//! What is replaced and what stays.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use cairn_boot::Record;
use cairn_disk::{Content, Contents, Entry, FileTarget, Node, Tree, apply, ext4};
use cairn_layout::{Needs, plan};
use cairn_machine::model::{Disk, Partition, PartitionKind};
use cairn_machine::size::Size;
use cairn_process::{Quiet, Tool};
use tempfile::TempDir;

use super::*;
use standing::{BUILD, CACHE};

const SEED: Uuid = Uuid::from_u128(7);

/// Folders for images and for what is remembered.
struct Here {
    folder: TempDir,
    cache: TempDir,
}

impl Here {
    fn new() -> Here {
        // Not in memory: that file system gives no leases.
        let folder = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        Here { folder, cache: tempfile::tempdir().unwrap() }
    }

    fn places<'a>(&'a self, formats: &'a [Format], rules: Rules) -> Places<'a> {
        Places { folder: self.folder.path(), name: "lab", formats, seed: SEED, rules, cache: self.cache.path() }
    }

    fn path(&self, format: Format) -> PathBuf {
        self.folder.path().join(format!("lab.{}", format.name()))
    }

    /// What the end of a build does, with these bytes for each format.
    fn build(&self, key: &str, bytes: &[(Format, &[u8])], rules: Rules) -> anyhow::Result<()> {
        let formats: Vec<Format> = bytes.iter().map(|(format, _)| *format).collect();
        let places = self.places(&formats, rules);
        places.check()?;
        let outputs = bytes.iter().map(|(format, bytes)| {
            let new = NewFile::create(&self.path(*format)).unwrap();
            new.file().write_all(bytes).unwrap();
            (*format, new)
        });
        let plan = || anyhow::bail!("nothing is planned here");
        commit(&Wanted { places, key, newest: 1, plan: &plan }, outputs.collect(), &Quiet)
    }

    #[track_caller]
    fn refused(&self, key: &str, bytes: &[(Format, &[u8])], rules: Rules, words: &str) {
        let before: Vec<_> = bytes.iter().map(|(format, _)| std::fs::read(self.path(*format)).ok()).collect();
        let error = self.build(key, bytes, rules).unwrap_err();
        let said = format!("{error:#}");
        assert!(said.contains(words), "{said}");
        let refusal = error.downcast_ref::<OutputError>().is_some_and(OutputError::is_refusal);
        assert!(refusal || error.is::<Refusal>(), "{said}");
        let after: Vec<_> = bytes.iter().map(|(format, _)| std::fs::read(self.path(*format)).ok()).collect();
        assert!(before == after, "something was replaced: {said}");
        let hidden = std::fs::read_dir(self.folder.path())
            .unwrap()
            .filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().starts_with('.'));
        assert_eq!(hidden.count(), 0, "something is left");
    }

    #[track_caller]
    fn holds(&self, format: Format, bytes: &[u8]) {
        assert!(std::fs::read(self.path(format)).unwrap() == bytes);
    }
}

/// Does something to a file, again until the file's times tell: they come from a clock that ticks a few times in a hundredth of a
/// second.
fn until_it_shows(path: &Path, act: impl Fn()) {
    let before = Stamp::of(path).unwrap();
    while Stamp::of(path).unwrap() == before {
        act();
    }
}

const FORCE: Rules = Rules { force: true, ..BUILD };
const RAW: Format = Format::Raw;
const QCOW2: Format = Format::Qcow2;

/// Mounts of an image whose machine was switched off without a word: its journal is to be played.
const SWITCHED_OFF: u8 = 9;

/// An image of a machine: with these generations, this seed, mounted so often.
fn image(generations: u64, seed: Option<Uuid>, mounts: u8) -> Vec<u8> {
    let mut tree = Tree::new();
    let mut add = |path: String, node: Node| {
        if let Some((parent, _)) = path.rsplit_once('/') {
            tree.dirs(parent, 1).unwrap();
        }
        tree.push(Entry { path, mode: 0o444, uid: 0, gid: 0, mtime: 1, node }).unwrap();
    };
    let file = |text: String| Node::File { len: text.len() as u64, content: Content::Bytes(text.into_bytes()) };
    let system = "nix/store/ssssssssssssssssssssssssssssssss-cairn-system-lab";
    add(format!("{system}/etc/hostname"), file("lab\u{1b}[31m\n".into()));
    for number in 1..=generations {
        add(format!("nix/var/nix/profiles/system-{number}-link"), Node::Symlink(format!("/{system}")));
    }
    if generations > 0 {
        add("nix/var/nix/profiles/system".into(), Node::Symlink(format!("system-{generations}-link")));
    }
    add(cairn_boot::RECORD_FILE.into(), file(Record { seed, ..Record::first(1) }.to_text()));

    let disk = Disk { free: Size::default(), ..Disk::of_partitions(vec![Partition::of_kind(PartitionKind::Root)]) };
    let needs = Needs { root: ext4::needed(&tree, 1 << 20).unwrap(), ..Needs::default() };
    let plan = plan(&disk, SEED, &needs, None).unwrap();
    let whole = tempfile::NamedTempFile::new().unwrap();
    let target = FileTarget::new(whole.reopen().unwrap(), "image", plan.bytes()).unwrap();
    let contents = Contents { files: [].into(), trees: [("/".into(), &tree)].into() };
    apply(&plan, &contents, 1_700_000_000, &target, 1, &Quiet).unwrap();
    let mut bytes = std::fs::read(whole.path()).unwrap();
    let at = usize::try_from(plan.partitions[0].first_lba.0 * 512).unwrap() + 1024;
    bytes[at + 0x34] = mounts;
    if mounts == SWITCHED_OFF {
        bytes[at + 0x60] |= 4;
    }
    let checksum = crc32c(&bytes[at..at + 0x3fc]);
    bytes[at + 0x3fc..at + 0x400].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// The checksum of a superblock, as ext4 has it: without the last inversion.
fn crc32c(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 })
    })
}

#[test]
fn an_image_that_nobody_has_touched_is_replaced_without_a_question() {
    let here = Here::new();
    here.build("one", &[(RAW, b"first"), (QCOW2, b"FIRST")], BUILD).unwrap();
    here.build("two", &[(RAW, b"second"), (QCOW2, b"SECOND")], BUILD).unwrap();
    here.holds(RAW, b"second");
    here.holds(QCOW2, b"SECOND");
    assert!(here.places(&[RAW, QCOW2], BUILD).judge(QCOW2, Some("two")).unwrap().is_current("two"));
    // By whatever way the folder is named.
    let link = here.cache.path().join("link");
    std::os::unix::fs::symlink(here.folder.path(), &link).unwrap();
    let places = Places { folder: &link, ..here.places(&[RAW], BUILD) };
    assert!(places.judge(RAW, Some("two")).unwrap().is_current("two"));
}

#[test]
fn one_byte_that_somebody_has_written_keeps_all_formats() {
    let here = Here::new();
    let (built, other) = (image(1, Some(SEED), 0), image(2, Some(SEED), 0));
    here.build("one", &[(RAW, &built), (QCOW2, &built)], BUILD).unwrap();
    let path = here.path(QCOW2);
    let written = path.metadata().unwrap().modified().unwrap();
    until_it_shows(&path, || {
        let file = File::options().write(true).open(&path).unwrap();
        file.write_all_at(b"!", (built.len() - 1) as u64).unwrap();
        file.set_modified(written).unwrap();
    });
    let words = "lab.qcow2 has changed since it was built; --force replaces it, -o DIR writes elsewhere";
    here.refused("two", &[(RAW, &other), (QCOW2, &other)], BUILD, words);
    // Also when the build would only put the byte back.
    here.refused("one", &[(RAW, &built), (QCOW2, &built)], BUILD, words);
    here.build("two", &[(RAW, &other), (QCOW2, &other)], FORCE).unwrap();
    here.holds(QCOW2, &other);
}

#[test]
fn what_is_byte_for_byte_the_same_is_nobody_s_loss() {
    let here = Here::new();
    let (built, other) = (image(1, Some(SEED), 0), image(2, Some(SEED), 0));
    here.build("one", &[(RAW, &built)], BUILD).unwrap();
    until_it_shows(&here.path(RAW), || {
        std::fs::set_permissions(here.path(RAW), std::fs::Permissions::from_mode(0o600)).unwrap();
    });
    here.refused("two", &[(RAW, &other)], BUILD, "lab.raw has changed since it was built");
    // Somebody has changed its mode and not its bytes, which is seen when they are made once more.
    here.build("one", &[(RAW, &built)], BUILD).unwrap();
    assert_eq!(here.path(RAW).metadata().unwrap().permissions().mode() & 0o777, 0o600);
    here.build("two", &[(RAW, &other)], BUILD).unwrap();
    here.holds(RAW, &other);
}

#[test]
fn what_cannot_be_remembered_is_taken_back_in_all_formats() {
    let here = Here::new();
    here.build("one", &[(RAW, b"first"), (QCOW2, b"FIRST")], BUILD).unwrap();
    let memory = memory::place(&here.path(QCOW2), here.cache.path()).unwrap();
    let kept = std::fs::read(&memory).unwrap();
    std::fs::remove_file(&memory).unwrap();
    std::fs::create_dir(&memory).unwrap();
    let error = here.build("two", &[(RAW, b"second"), (QCOW2, b"SECOND")], FORCE).unwrap_err();
    assert!(format!("{error:#}").contains("writing"), "{error:#}");
    here.holds(RAW, b"first");
    here.holds(QCOW2, b"FIRST");
    assert_eq!(std::fs::read_dir(here.folder.path()).unwrap().count(), 2);
    // The one that was remembered is still known as untouched.
    assert!(here.places(&[RAW], BUILD).judge(RAW, Some("one")).unwrap().is_current("one"));
    std::fs::remove_dir(&memory).unwrap();
    std::fs::write(&memory, kept).unwrap();
    here.build("two", &[(RAW, b"second")], BUILD).unwrap();
    here.holds(RAW, b"second");
}

#[test]
fn without_a_memory_only_the_same_bytes_are_written() {
    let here = Here::new();
    let (built, other) = (image(1, Some(SEED), 0), image(2, Some(SEED), 0));
    std::fs::write(here.path(RAW), &built).unwrap();
    here.refused("two", &[(RAW, &other)], BUILD, "lab.raw may have changed since it was built");
    here.build("one", &[(RAW, &built)], BUILD).unwrap();
    here.build("two", &[(RAW, &other)], BUILD).unwrap();
    here.holds(RAW, &other);
}

#[test]
fn an_image_of_the_cache_that_has_never_run_is_replaced_without_a_memory() {
    let here = Here::new();
    let (built, other) = (image(1, Some(SEED), 0), image(2, Some(SEED), 0));
    std::fs::write(here.path(RAW), &built).unwrap();
    here.build("two", &[(RAW, &other)], CACHE).unwrap();
    here.holds(RAW, &other);
    assert!(here.places(&[RAW], CACHE).judge(RAW, Some("two")).unwrap().is_current("two"));
    // What may be somebody's only copy stays here too.
    for kept in [image(1, Some(SEED), 1), image(1, Some(Uuid::from_u128(8)), 0), b"a letter\n".to_vec()] {
        std::fs::write(here.path(RAW), &kept).unwrap();
        here.refused("three", &[(RAW, &built)], CACHE, "it is the cache's image");
    }
}

#[test]
fn what_a_machine_has_kept_is_named() {
    let here = Here::new();
    let new = image(1, Some(SEED), 1);
    let build = |bytes: &[u8]| here.build("one", &[(RAW, bytes)], FORCE).unwrap();
    build(&image(1, Some(SEED), 0));
    let changed = |bytes: &[u8]| until_it_shows(&here.path(RAW), || std::fs::write(here.path(RAW), bytes).unwrap());
    changed(&image(3, Some(SEED), 0));
    here.refused("two", &[(RAW, &new)], BUILD, "since it was built: generations 2, 3 were made in it");
    build(&image(1, Some(SEED), 0));
    changed(&image(1, Some(SEED), 2));
    here.refused("two", &[(RAW, &new)], BUILD, "a machine has run from it, or somebody has mounted it");
    build(&image(1, Some(SEED), 0));
    changed(&image(1, Some(SEED), SWITCHED_OFF));
    here.refused("two", &[(RAW, &new)], BUILD, "a machine has run from it, or somebody has mounted it");
    // Also where nothing is remembered, and before anything is made.
    let elsewhere = Here::new();
    std::fs::write(elsewhere.path(RAW), image(1, Some(SEED), 2)).unwrap();
    let error = elsewhere.places(&[RAW], BUILD).check().unwrap_err().to_string();
    assert!(error.contains("a machine has run from it"), "{error}");
}

#[test]
fn what_is_not_this_machine_s_image_stays() {
    let here = Here::new();
    let stands = |bytes: &[u8], words: &str| {
        std::fs::write(here.path(RAW), bytes).unwrap();
        here.refused("one", &[(RAW, b"new")], BUILD, words);
        here.build("one", &[(RAW, b"new")], FORCE).unwrap();
        here.holds(RAW, b"new");
        std::fs::remove_file(here.path(RAW)).unwrap();
    };
    stands(b"a letter\n", "lab.raw is no disk image: it is a text file");
    stands(b"", "lab.raw is no disk image: it is empty");
    stands(&image(1, Some(Uuid::from_u128(8)), 0), "is the image of another machine (its host name is lab");
    stands(&image(0, None, 0), "is an image that Cairn has not made");
    let mut table_only = image(1, Some(SEED), 0);
    table_only[1 << 20..].fill(0xa5);
    stands(&table_only, "lab.raw is");

    // Another machine of this name that was built here, and that nobody has touched.
    here.build("one", &[(RAW, b"one")], BUILD).unwrap();
    let other = Places { seed: Uuid::from_u128(8), ..here.places(&[RAW], BUILD) };
    let error = other.judge(RAW, None).unwrap_err().to_string();
    assert!(error.contains("is the image of another machine"), "{error}");
    // In the cache nobody has asked for it.
    assert!(Places { rules: CACHE, ..other }.judge(RAW, None).is_ok());
}

#[test]
fn what_is_no_file_stays_even_when_somebody_insists() {
    let here = Here::new();
    std::fs::create_dir(here.path(RAW)).unwrap();
    std::os::unix::fs::symlink("lab.raw", here.path(QCOW2)).unwrap();
    for rules in [BUILD, FORCE] {
        here.refused("one", &[(RAW, b"new")], rules, "lab.raw is a folder");
        here.refused("one", &[(QCOW2, b"new")], rules, "lab.qcow2 is a symbolic link");
    }
    std::fs::remove_file(here.path(QCOW2)).unwrap();
    nix::unistd::mkfifo(&here.path(QCOW2), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let error = here.places(&[QCOW2], BUILD).check().unwrap_err().to_string();
    assert!(error.contains("lab.qcow2 is a pipe"), "{error}");
}

#[test]
fn an_image_in_use_stays_even_when_somebody_insists() {
    let here = Here::new();
    here.build("one", &[(RAW, b"one"), (QCOW2, b"ONE")], BUILD).unwrap();
    let script = "exec 3>>\"$1\"; echo ready; read -r line";
    let tool = Tool::new("sh", "dash", "hold a file").args(["-c", script, "sh"]).arg(here.path(QCOW2).into_os_string());
    let mut holder = tool.start(Stdio::piped(), Stdio::piped()).unwrap();
    std::io::Read::read_exact(&mut holder.take_stdout().unwrap(), &mut [0; 6]).unwrap();
    for rules in [BUILD, FORCE] {
        let words = format!("lab.qcow2 is in use: another program (sh, process {}) has it open", holder.id());
        here.refused("two", &[(RAW, b"two"), (QCOW2, b"TWO")], rules, &words);
    }
    // What would be written is there already: there is nothing to refuse.
    here.build("one", &[(QCOW2, b"ONE")], FORCE).unwrap_err();
    assert!(here.places(&[QCOW2], BUILD).judge(QCOW2, Some("one")).unwrap().is_current("one"));
    holder.kill();
    here.build("two", &[(RAW, b"two"), (QCOW2, b"TWO")], BUILD).unwrap();
    here.holds(QCOW2, b"TWO");
}

#[test]
fn what_happens_between_the_last_look_and_the_name_is_seen() {
    let here = Here::new();
    let new = || {
        let new = NewFile::create(&here.path(RAW)).unwrap();
        new.file().write_all(b"new").unwrap();
        new
    };
    let give = |standing: &Standing| place(here.path(RAW), new(), standing, BUILD).map(drop).unwrap_err().to_string();
    // Something gets the name.
    let standing = here.places(&[RAW], BUILD).judge(RAW, None).unwrap();
    std::fs::write(here.path(RAW), "theirs").unwrap();
    assert!(give(&standing).contains("has appeared just now"));
    here.holds(RAW, b"theirs");
    std::fs::remove_file(here.path(RAW)).unwrap();
    // A machine is started.
    here.build("one", &[(RAW, b"one")], BUILD).unwrap();
    let standing = here.places(&[RAW], BUILD).judge(RAW, None).unwrap();
    let machine = File::options().write(true).open(here.path(RAW)).unwrap();
    assert!(give(&standing).contains("has come into use"));
    // It writes, and is gone again.
    machine.write_all_at(b"!!!!", 0).unwrap();
    drop(machine);
    assert!(give(&standing).contains("has changed just now"));
    here.holds(RAW, b"!!!!");
    assert_eq!(std::fs::read_dir(here.folder.path()).unwrap().count(), 1);
}
