//! Looking into images: one of ours in full, others as far as they can be seen, and what is no image by its name.

use std::fs::{File, OpenOptions};
use std::path::Path;

use cairn_disk::fat::FatFile;
use cairn_disk::image::qcow2::convert;
use cairn_disk::{Content, Contents, Entry, FileTarget, Node, Tree, apply, ext4, fat};
use cairn_layout::{Needs, plan};
use cairn_machine::model::{Disk, NamedLayout};
use cairn_machine::size::Size;
use cairn_observe::inspect::inspect;
use cairn_process::Quiet;
use uuid::Uuid;

const A: &str = "/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-base";
const S: &str = "/nix/store/ssssssssssssssssssssssssssssssss-cairn-system-hello";

fn root() -> Tree {
    let mut tree = Tree::new();
    let mut add = |path: &str, node: Node| {
        let path = path.trim_start_matches('/');
        if let Some((parent, _)) = path.rsplit_once('/') {
            tree.dirs(parent, 1).unwrap();
        }
        let entry = Entry { path: path.to_string(), mode: 0o444, uid: 0, gid: 0, mtime: 1, node };
        tree.push(entry).unwrap();
    };
    let file = |text: &str| Node::File { len: text.len() as u64, content: Content::Bytes(text.into()) };
    add(&format!("{A}/kernel-release"), file("6.12.1-cloud\n"));
    add(&format!("{A}/etc/hostname"), file("hello\n"));
    add(&format!("{S}/base"), Node::Symlink(A.into()));
    add(&format!("{S}/etc"), Node::Symlink(format!("../{}/etc", A.rsplit('/').next().unwrap())));
    add(&format!("{A}/linux"), file("kernel"));
    let boot = format!(
        r#"{{"org.nixos.bootspec.v1": {{"label": "Cairn hello", "kernelParams": ["quiet", "rw"], "system": "x86_64-linux",
        "init": "{S}/init", "kernel": "{A}/linux", "toplevel": "{S}"}}, "org.nixos.specialisation.v1": {{}}}}"#
    );
    add(&format!("{S}/boot.json"), file(&boot));
    let list = r#"{"components": [{"name": "zlib", "version": "1.3"}, {"name": "bash", "version": "5.2"}]}"#;
    add(&format!("{S}/sbom.cdx.json"), file(list));
    add("nix/var/nix/profiles/system", Node::Symlink("system-2-link".into()));
    add("nix/var/nix/profiles/system-1-link", Node::Symlink(A.into()));
    add("nix/var/nix/profiles/system-2-link", Node::Symlink(S.into()));
    add("nix-path-registration", file(&format!("{A}\nab\n1000\n\n0\n{S}\nab\n500\n\n2\n{A}\n{S}\n")));
    tree
}

fn image(path: &Path, tree: &Tree) {
    let entry = "title Cairn\nversion 2\ninitrd /EFI/cairn/initrd\ninitrd /EFI/cairn/gone\noptions quiet rw\nlinux /EFI/cairn/linux\n";
    let files = [
        FatFile::from_bytes("loader/loader.conf", "timeout 3\n# comment\neditor no\n"),
        FatFile::from_bytes("loader/entries/cairn-2.conf", entry),
        FatFile::from_bytes("EFI/cairn/linux", vec![1; 5000]),
        FatFile::from_bytes("EFI/cairn/initrd", vec![2; 9000]),
    ];
    let disk = Disk { free: Size::default(), ..Disk::of_layout(NamedLayout::Uefi) };
    let needs = Needs { esp: fat::needed(&files), root: ext4::needed(tree, 8 << 20).unwrap(), ..Needs::default() };
    let plan = plan(&disk, Uuid::from_u128(1), &needs, None).unwrap();
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path).unwrap();
    let target = FileTarget::new(file, path.to_string_lossy(), plan.bytes()).unwrap();
    let contents = Contents {
        files: [("/boot".into(), &files as &dyn fat::FatContents)].into(),
        trees: [("/".into(), tree)].into(),
    };
    apply(&plan, &contents, 1_700_000_000, &target, 1, &Quiet).unwrap();
}

#[test]
fn an_image_of_ours_is_told_in_full_in_either_format() {
    let dir = tempfile::tempdir().unwrap();
    let (raw, qcow2) = (dir.path().join("hello.raw"), dir.path().join("hello.qcow2"));
    image(&raw, &root());
    let out = OpenOptions::new().read(true).write(true).create_new(true).open(&qcow2).unwrap();
    convert((&File::open(&raw).unwrap(), &raw), (&out, &qcow2), &Quiet).unwrap();
    let found = inspect(&raw).unwrap();
    assert_eq!(found.notes, Vec::<String>::new());

    let types: Vec<_> = found.partitions.iter().map(|p| (p.type_name.unwrap(), p.grow)).collect();
    assert_eq!(types, [("esp", false), ("root-x86-64", true)]);
    let formats: Vec<_> = found.partitions.iter().map(|p| p.file_system.as_ref().unwrap().format.as_str()).collect();
    assert_eq!(formats, ["vfat", "ext4"]);
    let root = found.partitions[1].file_system.as_ref().unwrap();
    assert!(root.free.unwrap() >= 8 << 20 && root.used.unwrap() > 0);

    let boot = found.boot.as_ref().unwrap();
    assert_eq!(boot.loader, [("timeout".to_string(), "3".to_string()), ("editor".to_string(), "no".to_string())]);
    assert_eq!(boot.entries[0].linux.as_deref(), Some("/EFI/cairn/linux"));
    assert_eq!(boot.entries[0].missing, ["/EFI/cairn/gone"]);
    assert!(boot.files.iter().any(|f| f.path == "EFI/cairn/initrd" && f.size == 9000));

    let generations: Vec<_> = found.generations.iter().map(|g| (g.number, g.system.as_str(), g.current)).collect();
    assert_eq!(generations, [(1, A, false), (2, S, true)]);
    let system = found.system.as_ref().unwrap();
    assert_eq!(system.hostname.as_deref(), Some("hello"));
    assert_eq!(system.kernel.as_deref(), Some("6.12.1-cloud"));
    assert_eq!(system.kernel_parameters, ["quiet", "rw"]);
    assert_eq!(found.closure.iter().map(|p| p.nar_size).sum::<u64>(), 1500);
    assert_eq!(found.packages[0].name, "bash");

    let text = found.to_string();
    for part in
        ["esp", "root-x86-64", "(MISSING)", "timeout 3, editor no", "6.12.1-cloud", "closure: 2 paths, 1.5K", "zlib"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    let mut other = inspect(&qcow2).unwrap();
    assert_eq!(other.format, "qcow2");
    (other.path, other.format, other.disk_usage) = (found.path.clone(), found.format, found.disk_usage);
    assert_eq!(other, found, "both formats hold the same");
    let json = serde_json::to_value(&found).unwrap();
    assert_eq!(json["partitions"][0]["type"], "esp");
}

#[test]
fn what_is_no_image_is_called_by_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    let refused = |bytes: &[u8], why: &str| {
        std::fs::write(&path, bytes).unwrap();
        let error = inspect(&path).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    };
    refused(b"", "it is empty");
    refused(b"version: 1\n", "it is a text file");
    refused(&[0x1f, 0x8b, 8, 0, 0, 0], "it is compressed with gzip");
    refused(b"QFI\xfb\0\0\0\x03", "breaks off in its header");
    assert!(inspect(dir.path()).unwrap_err().to_string().contains("it is a directory"));
    assert!(inspect(&dir.path().join("nowhere")).unwrap_err().to_string().contains("nowhere"));
}

#[test]
fn damage_is_a_note_and_the_rest_is_told() {
    use std::os::unix::fs::FileExt;
    let dir = tempfile::tempdir().unwrap();
    let raw = dir.path().join("hello.raw");
    image(&raw, &root());
    let root = inspect(&raw).unwrap().partitions[1].start;
    // The root's superblock.
    OpenOptions::new().write(true).open(&raw).unwrap().write_all_at(&[0xff; 8], root + 1024 + 32).unwrap();
    let found = inspect(&raw).unwrap();
    assert_eq!(found.partitions.len(), 2);
    assert!(found.boot.is_some());
    assert!(found.notes[0].starts_with("partition 2 (root): reading the ext4 file system"), "{:?}", found.notes);
    // A boot sector with an empty table: a disk that nobody has partitioned.
    let mut mbr = vec![0; 1 << 20];
    mbr[510..512].copy_from_slice(&[0x55, 0xaa]);
    std::fs::write(&raw, mbr).unwrap();
    let found = inspect(&raw).unwrap();
    assert_eq!(found.notes, ["reading the partition table: there is neither a GPT nor an MBR"]);
    // A partition of an MBR has no name.
    let mut disk = vec![0; 3 << 20];
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    disk[450] = 0x83;
    disk[454..458].copy_from_slice(&2048_u32.to_le_bytes());
    disk[458..462].copy_from_slice(&2048_u32.to_le_bytes());
    disk[(1 << 20) + 1080..][..2].copy_from_slice(&[0x53, 0xef]);
    std::fs::write(&raw, disk).unwrap();
    let found = inspect(&raw).unwrap();
    assert!(found.notes[0].starts_with("partition 1: reading the ext4 file system"), "{:?}", found.notes);
}

#[test]
fn random_damage_never_ends_the_program() {
    use std::os::unix::fs::FileExt;
    let dir = tempfile::tempdir().unwrap();
    let raw = dir.path().join("hello.raw");
    image(&raw, &root());
    let clean = inspect(&raw).unwrap();
    let file = OpenOptions::new().read(true).write(true).open(&raw).unwrap();
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    let (esp, root) = (clean.partitions[0].start, clean.partitions[1].start);
    // The places where structures are: partition table, FAT's boot sector and second sector, its tables, its
    // directories, ext4's superblock, its groups, its inodes.
    let places = [
        (512, 92),
        (1024, 256),
        (esp, 90),
        (esp + 512, 512),
        (esp + 4096, 256),
        (esp + (523 << 10), 16384),
        (root + 1024, 256),
        (root + 4096, 64),
        (root + (1 << 20), 65536),
    ];
    for n in 0..600 {
        let (start, len) = places[n % places.len()];
        let at = start + next() % len;
        let mut before = [0; 4];
        file.read_exact_at(&mut before, at).unwrap();
        let damage = u32::try_from(next() & 0xffff_ffff).unwrap().to_le_bytes();
        file.write_all_at(&damage, at).unwrap();
        drop(inspect(&raw));
        file.write_all_at(&before, at).unwrap();
    }
    let mut after = inspect(&raw).unwrap();
    // Holes that were written to are none any more.
    after.disk_usage = clean.disk_usage;
    assert_eq!(after, clean);
}
