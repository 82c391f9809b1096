//! Images that somebody has made to hang, fill or deceive whoever looks at them. The command runs with as much memory as it
//! may ever take, and with an end to its time; what it says, and that nothing is left behind or changed, is what counts.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{FileExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cairn_disk::{FileSource, partition_table};

use crate::altered::{Ext4, Fat};
use crate::made::{Made, Ran, SystemOf};

/// What a command may take of memory, in bytes, and of a processor's time, in seconds (in a build that is not optimized).
const LIMITS: [&str; 3] = ["--data=268435456", "--cpu=60", "--fsize=1610612736"];

/// Each command that looks at an image.
const LOOKS: [&[&str]; 6] = [
    &["inspect"],
    &["inspect", "--json"],
    &["generations", "--image"],
    &["diff", "1", "2", "--files", "--image"],
    &["boot", "check", "--image"],
    &["boot", "check", "--json", "--image"],
];

/// Runs a command on an image; nothing may be left in its temporary folder or its user's.
#[expect(clippy::disallowed_methods, reason = "what is tested is the command itself, under limits")]
pub fn look(args: &[&str], image: &Path) -> Ran {
    let home = tempfile::tempdir().unwrap();
    let before = fingerprint(home.path());
    let mut command = Command::new("prlimit");
    command.args(LIMITS).arg("--").arg(env!("CARGO_BIN_EXE_cairn")).args(args).arg(image);
    command.env("TMPDIR", home.path()).env("HOME", home.path()).env("XDG_CACHE_HOME", home.path().join("cache"));
    let (mut out, mut err) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
    command.stdin(Stdio::null()).stdout(out.try_clone().unwrap()).stderr(err.try_clone().unwrap());
    let status = command.status().unwrap();
    let text = |file: &mut File| {
        std::io::Seek::rewind(file).unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        text
    };
    let (out, err) = (text(&mut out), text(&mut err));
    let code = status.code().unwrap_or_else(|| panic!("{args:?} ended by {status}: {err}"));
    assert_eq!(fingerprint(home.path()), before, "{args:?} leaves something behind");
    Ran { code, out, err }
}

/// Everything below a folder, with times and lengths, and the folder itself.
fn fingerprint(folder: &Path) -> BTreeMap<PathBuf, (u64, u32)> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![folder.to_path_buf()];
    while let Some(path) = waiting.pop() {
        let metadata = path.symlink_metadata().unwrap();
        if metadata.is_dir() {
            waiting.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        found.insert(path, (metadata.len(), metadata.mode()));
    }
    found
}

/// An image of a machine with two generations, altered: its root, and its boot partition.
fn altered(alter: impl FnOnce(&Ext4<'_>, &Fat<'_>, &Made)) -> (Made, PathBuf) {
    let mut second = SystemOf::named("two");
    second.etc.insert("a/b/deep", "x\n".into());
    let made = Made::with(&[SystemOf::named("one"), second]);
    let image = made.image();
    let table = partition_table::read(&FileSource::new(File::open(&image).unwrap()).unwrap()).unwrap();
    let file = OpenOptions::new().read(true).write(true).open(&image).unwrap();
    let start = |n: usize| table.partitions[n].offset;
    alter(&Ext4::new(&file, start(1)), &Fat::new(&file, start(0)), &made);
    (made, image)
}

/// All commands must fail with these words.
#[track_caller]
fn all_fail(image: &Path, words: &[&str]) {
    for args in LOOKS {
        fails(args, image, words);
    }
}

#[track_caller]
fn fails(args: &[&str], image: &Path, words: &[&str]) {
    let ran = look(args, image);
    assert_eq!(ran.code, 1, "{args:?}: {}{}", ran.out, ran.err);
    assert!(words.iter().any(|words| ran.err.contains(words)), "{args:?}: {}{}", ran.out, ran.err);
}

#[test]
fn an_extent_tree_without_end_takes_neither_memory_nor_time() {
    let words = ["the extent tree of inode"];
    let (_made, image) = altered(|root, _, _| root.bomb(2, 0));
    all_fail(&image, &words);
    let (_made, image) = altered(|root, _, _| root.bomb(root.find("/nix/var/nix/profiles"), 1));
    all_fail(&image, &words);
}

#[test]
fn a_folder_that_is_longer_than_the_disk_is_refused() {
    let (_made, image) = altered(|root, _, _| root.one_block_for_all(root.find("/nix/var/nix/profiles"), 30));
    all_fail(&image, &["has an impossible length"]);
    let (_made, image) = altered(|root, _, _| root.set_len(root.find("/nix/var/nix/profiles"), 1 << 40));
    all_fail(&image, &["has an impossible length"]);
}

/// The /etc of a generation, and its base.
fn in_system(made: &Made, index: usize, link: &str) -> String {
    let system = made.store.real_path(&made.systems[index]);
    fs::read_link(system.join(link)).unwrap().to_str().unwrap().to_string()
}

#[test]
fn a_folder_within_itself_is_walked_once() {
    // Nobody has listings, so that /etc is looked at file by file.
    let (_made, image) = altered(|root, _, made| {
        let etc = in_system(made, 1, "etc");
        root.point(&format!("{etc}/a"), "b", root.find(&format!("{etc}/a")));
        root.set_len(root.find("/nix/var/cairn/listing"), 0);
    });
    fails(LOOKS[3], &image, &["is a folder within itself"]);
    // Where a check of the boot partition looks.
    let in_base: fn(&Ext4<'_>, &Made) = |root, made| {
        let programs = format!("{}/usr/lib/systemd/boot", in_system(made, 1, "base"));
        root.point(&programs, "efi", root.find(&programs));
    };
    let in_etc: fn(&Ext4<'_>, &Made) = |root, made| {
        let cairn = format!("{}/cairn", in_system(made, 1, "etc"));
        root.point(&cairn, "machine.yaml", root.find(&cairn));
    };
    // It walks through none of them, and finds a folder where a file should be.
    for (alter, file) in [(in_base, "systemd-bootx64.efi"), (in_etc, "machine.yaml")] {
        let (_made, image) = altered(|root, _, made| alter(root, made));
        for args in &LOOKS[4..] {
            fails(args, &image, &[file]);
        }
    }
}

#[test]
fn a_boot_partition_that_leads_back_into_itself_comes_to_an_end() {
    let words = ["lead in circles"];
    let (_made, image) = altered(|_, esp, _| {
        let loader = esp.folder(esp.root(), "LOADER");
        ["A", "B", "C", "D"].iter().for_each(|name| esp.add_folder(loader, name, loader));
    });
    for args in LOOKS.iter().filter(|args| args[0] == "inspect") {
        fails(args, &image, &words);
    }
    // Whoever goes to a file by its name meets no circle.
    let ends = |image: &Path| {
        for args in LOOKS.iter().filter(|args| args[0] == "boot") {
            assert_eq!(look(args, image).code, 1);
        }
    };
    ends(&image);
    let (_made, image) = altered(|_, esp, _| {
        esp.fill(esp.root());
        esp.chain(esp.root(), esp.root());
    });
    for args in LOOKS.iter().filter(|args| args[0] != "diff" && args[0] != "boot") {
        fails(args, &image, &words);
    }
    ends(&image);
}

#[test]
fn an_image_that_is_looked_at_is_not_touched() {
    let (_made, image) = altered(|_, _, _| ());
    let before = (fs::read(&image).unwrap(), image.metadata().unwrap());
    for args in LOOKS {
        let ran = look(args, &image);
        assert!(ran.code == 0 || args[0] == "boot", "{args:?}: {}", ran.err);
        let (bytes, now) = (fs::read(&image).unwrap(), image.metadata().unwrap());
        assert!(bytes == before.0, "{args:?} changes the image");
        assert_eq!((now.mtime_nsec(), now.ctime_nsec()), (before.1.mtime_nsec(), before.1.ctime_nsec()), "{args:?}");
        assert_eq!((now.mtime(), now.ctime()), (before.1.mtime(), before.1.ctime()), "{args:?}");
    }
}

#[test]
fn a_link_in_an_image_cannot_make_a_check_write_elsewhere() {
    let outside = tempfile::tempdir_in("/var/tmp").unwrap();
    let victim = outside.path().join("victim");
    let made = Made::with(&[SystemOf::named("one"), SystemOf::named("two")]);
    // In the image there is what is to be written on the host.
    let inside = made.root().join(victim.strip_prefix("/").unwrap());
    fs::create_dir_all(inside.parent().unwrap()).unwrap();
    fs::write(inside, "of the image's choice").unwrap();
    // The second generation's /etc is a folder of the host's, and its kernel a file in it.
    let system = made.store.real_path(&made.systems[1]);
    let spec = fs::read_to_string(system.join("boot.json")).unwrap();
    fs::set_permissions(&system, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    for (name, target) in [("etc", outside.path().to_path_buf()), ("loader", victim.clone()), ("base", "/".into())] {
        let _ = fs::remove_file(system.join(name));
        symlink(target, system.join(name)).unwrap();
    }
    let kernel = format!("{}/etc/victim", made.systems[1]);
    let base = in_system(&made, 0, "base");
    for kernel in [kernel, format!("{base}/../../..{}", victim.display()), victim.display().to_string()] {
        fs::remove_file(system.join("boot.json")).unwrap();
        fs::write(system.join("boot.json"), spec.replace(&format!("{base}/boot/vmlinuz"), &kernel)).unwrap();
        let image = made.image();
        let ran = look(&["boot", "check", "--image"], &image);
        assert_eq!(ran.code, 1, "{}{}", ran.out, ran.err);
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0, "{kernel}: {}{}", ran.out, ran.err);
        fs::remove_file(&image).unwrap();
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "what is tested is the command itself, and what it leaves")]
fn a_look_into_an_image_unpacks_nothing() {
    let made = Made::with(&[SystemOf::named("one"), SystemOf::named("two")]);
    let image = made.image();
    let home = tempfile::tempdir().unwrap();
    for args in LOOKS {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cairn"));
        // Where a temporary folder would be made nobody can make one.
        command.args(args).arg(&image).env("TMPDIR", home.path().join("none")).current_dir(home.path());
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code().is_some_and(|code| code < 2), "{args:?}: {said}");
        assert!(!said.contains("temporary"), "{args:?}: {said}");
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0, "{args:?}");
    }
}

/// A qcow2 image of 1 MiB clusters' worth of nothing, whose header says what it is told to.
fn qcow2(path: &Path, size: u64, l1: &[u64], l2: impl Fn(u64) -> u64) {
    let file = File::create(path).unwrap();
    let mut header = vec![0; 104];
    header[..4].copy_from_slice(b"QFI\xfb");
    header[4..8].copy_from_slice(&3_u32.to_be_bytes());
    header[20..24].copy_from_slice(&16_u32.to_be_bytes());
    header[24..32].copy_from_slice(&size.to_be_bytes());
    header[36..40].copy_from_slice(&u32::try_from(l1.len()).unwrap().to_be_bytes());
    header[40..48].copy_from_slice(&65536_u64.to_be_bytes());
    header[96..104].copy_from_slice(&[0, 0, 0, 4, 0, 0, 0, 104]);
    file.write_all_at(&header, 0).unwrap();
    file.write_all_at(&l1.iter().flat_map(|entry| entry.to_be_bytes()).collect::<Vec<u8>>(), 65536).unwrap();
    let l2: Vec<u8> = (0..8192).flat_map(|n| l2(n).to_be_bytes()).collect();
    file.write_all_at(&l2, 1 << 20).unwrap();
    file.set_len(3 << 20).unwrap();
}

#[test]
fn a_qcow2_image_whose_tables_lie_is_only_what_it_says() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("x.qcow2");
    let no_table = "there is neither a GPT nor an MBR";
    // 2^63 bytes, and all that its table can hold.
    qcow2(&image, 1 << 63, &[0; 8], |_| 0);
    fails(LOOKS[0], &image, &["does not go with its size"]);
    qcow2(&image, 8 << 29, &[1 << 20; 8], |_| 2 << 20);
    for args in LOOKS {
        let ran = look(args, &image);
        let said = ran.out.contains(no_table) || ran.err.contains(no_table);
        assert!(said, "{args:?}: {}{}", ran.out, ran.err);
    }
    // Tables that are each other, themselves, the header, and beyond the end.
    for at in [65536, 1 << 20, 0x0080_0000_0000_0000 - 65536, 512] {
        qcow2(&image, 8 << 29, &[at; 8], |_| at);
        for args in LOOKS {
            let ran = look(args, &image);
            assert!(ran.code == 1 || args[0] == "inspect", "{args:?}: {}{}", ran.out, ran.err);
        }
    }
}

#[test]
fn texts_that_are_as_long_as_they_may_be_fit_into_memory() {
    let of_length = |begin: &str, piece: &str, end: &str, len: usize| {
        let count = (len - begin.len() - end.len()) / piece.len();
        format!("{begin}{}{end}", piece.repeat(count))
    };
    let texts = [
        ("machine.yaml", of_length("version: 1\nx: [", "a,", "a]\n", 1 << 20)),
        ("machine.yaml", of_length("version: 1\nx: ", "- ", "a\n", 1 << 20)),
        ("machine.yaml", of_length("version: 1\n", "a: 1\n", "", 1 << 20)),
        ("boot.json", of_length("[", "1,", "1]", 1 << 20)),
        ("boot.json", of_length("", "[", "", 1 << 20)),
        ("sbom.cdx.json", of_length("{\"components\":[", "{},", "{}]}", 8 << 20)),
        ("sbom.cdx.json", of_length("{\"components\":[", "{\"name\":\"\",\"version\":\"\"},", "{}]}", 8 << 20)),
        ("sbom.cdx.json", of_length("{\"components\":[", "{\"name\":\"\"},", "{\"name\":\"\"}]}", 8 << 20)),
        ("sbom.cdx.json", of_length("{\"x\":[", "[],", "[]],\"components\":[]}", 8 << 20)),
        ("sbom.cdx.json", of_length("{\"components\":[{\"name\":\"", "\\u001b", "\"}]}", 8 << 20)),
        // Longer than that: not read.
        ("machine.yaml", "#".repeat((1 << 20) + 1)),
        ("boot.json", " ".repeat((1 << 20) + 1)),
        ("sbom.cdx.json", " ".repeat((8 << 20) + 1)),
    ];
    for (name, text) in texts {
        let made = Made::with(&[SystemOf::named("one"), SystemOf::named("two")]);
        let system = made.store.real_path(&made.systems[1]);
        fs::set_permissions(&system, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let _ = fs::remove_file(system.join(name));
        fs::write(system.join(name), &text).unwrap();
        // Lists of packages are a system's own where its base has none.
        let base = made.root().join(in_system(&made, 1, "base").trim_start_matches('/'));
        fs::set_permissions(&base, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        fs::remove_file(base.join("packages.json")).unwrap();
        let image = made.image();
        let begin = &text[..20];
        for args in &LOOKS[1..5] {
            let ran = look(args, &image);
            assert!(matches!(ran.code, 0 | 1), "{name} {begin}: {args:?}: {} {}", ran.code, ran.err);
            let told = ran.err.contains("cairn: ");
            assert_eq!(ran.code == 1, told || args[0] == "boot", "{name} {begin}: {args:?}: {}", ran.err);
        }
        fs::remove_file(&image).unwrap();
    }
}

/// Commands that look at a machine below a folder.
const BELOW: [&[&str]; 4] = [
    &["generations", "--root"],
    &["diff", "1", "2", "--root"],
    &["boot", "check", "--root"],
    &["gc", "--dry-run", "--root"],
];

/// A machine with generations up to a number, the systems of its first two in turn.
fn with_links(made: &Made, up_to: usize) {
    (3..=up_to).for_each(|number| link_to(made, number, (number + 1) % 2));
}

fn link_to(made: &Made, number: usize, index: usize) {
    let link = made.root().join(format!("nix/var/nix/profiles/system-{number}-link"));
    let _ = fs::remove_file(&link);
    symlink(made.systems[index].to_string(), link).unwrap();
}

fn write_into(made: &Made, index: usize, name: &str, text: &str) {
    let system = made.store.real_path(&made.systems[index]);
    fs::set_permissions(&system, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    fs::remove_file(system.join(name)).unwrap();
    fs::write(system.join(name), text).unwrap();
}

#[test]
fn links_that_cost_nothing_take_no_memory() {
    let Some(made) = Made::mounted(&[SystemOf::named("one"), SystemOf::named("two")]) else { return };
    with_links(&made, 2000);
    // One machine file of the greatest length; of two each comparison would take its time.
    write_into(&made, 1, "machine.yaml", &format!("version: 1\n#{}\n", "#".repeat((1 << 20) - 20)));
    for args in BELOW {
        let ran = look(args, made.root());
        let why = "lead in circles";
        let ended = match args[0] {
            "generations" => ran.code == 1 && ran.err.contains(why),
            // Nothing is on the boot partition.
            "boot" => ran.code == 1 && ran.out.contains("is missing"),
            _ => ran.code == 0,
        };
        assert!(ended, "{args:?}: {} {}{}", ran.code, ran.out, ran.err);
    }
    // All of them of one system: there is nothing to compare.
    (3..=2000).step_by(2).for_each(|number| link_to(&made, number, 1));
    let image = made.image();
    assert_eq!(look(BELOW[0], made.root()).code, 0);
    assert_eq!(look(&["generations", "--image"], &image).code, 0);
    fs::remove_file(image).unwrap();
    // Words of a kernel's command line: few long ones, and many that say nothing.
    let system = made.store.real_path(&made.systems[1]);
    let spec = fs::read_to_string(system.join("boot.json")).unwrap();
    for words in [format!("\"{}\"", "a".repeat(1_040_000)), format!("{}\"\"", "\"\",".repeat(340_000))] {
        write_into(&made, 1, "boot.json", &spec.replace("\"quiet\"", &words));
        let image = made.image();
        assert_eq!(look(BELOW[0], made.root()).code, 0);
        for (args, place) in BELOW[2..].iter().map(|args| (*args, made.root())).chain([(LOOKS[4], image.as_path())]) {
            fails(args, place, &["has more than 32 MiB"]);
        }
        fs::remove_file(image).unwrap();
    }
}

#[test]
fn more_generations_than_anybody_has_are_refused() {
    let Some(made) = Made::mounted(&[SystemOf::named("one"), SystemOf::named("two")]) else { return };
    with_links(&made, 4096);
    for args in BELOW {
        let ran = look(args, made.root());
        assert!(ran.code == 0 || args[0] == "boot" && ran.code == 1, "{args:?}: {} {}", ran.code, ran.err);
    }
    link_to(&made, 4097, 0);
    let image = made.image();
    for (args, place) in
        BELOW.iter().map(|args| (*args, made.root())).chain(LOOKS[2..].iter().map(|args| (*args, image.as_path())))
    {
        look(args, place).refused("has more than 4096 generations");
    }
}
