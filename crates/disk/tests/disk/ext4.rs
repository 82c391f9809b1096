//! ext4 alone: what debugfs takes out of it is what went in.

use std::collections::BTreeMap;
use std::path::Path;

use cairn_disk::ext4::{Ext4Options, Ext4Plan, Ext4Size, Reader};
use cairn_disk::tree::FolderOptions;
use cairn_disk::{Content, FileSource, Node, Region, Tree};
use cairn_process::Quiet;
use uuid::Uuid;

use crate::common::{EPOCH, bytes, checked, entry, target, tool, tree};

fn options(size: Ext4Size) -> Ext4Options {
    Ext4Options { uuid: Uuid::from_u128(5), label: "root".into(), epoch: EPOCH, size }
}

fn write(tree: &Tree, size: Ext4Size, path: &Path) {
    let plan = Ext4Plan::new(tree, &options(size)).unwrap();
    plan.write(&target(path, plan.bytes()), 0, 2, &Quiet).unwrap();
}

/// Path, mode and contents of everything in a tree.
fn described(tree: &Tree) -> BTreeMap<String, (u16, Option<Vec<u8>>)> {
    let contents = |node: &Node| match node {
        Node::File { content: Content::Bytes(bytes), .. } => Some(bytes.clone()),
        Node::File { content: Content::Path(path), .. } => Some(std::fs::read(path).unwrap()),
        Node::Symlink(target) => Some(target.clone().into_bytes()),
        Node::Dir | Node::Hardlink(_) => None,
    };
    let one = |e: &cairn_disk::Entry| match &e.node {
        Node::Hardlink(to) => {
            let original = &tree.entries()[*to];
            (e.path.clone(), (original.mode, contents(&original.node)))
        }
        Node::Symlink(_) => (e.path.clone(), (0o777, contents(&e.node))),
        node => (e.path.clone(), (e.mode, contents(node))),
    };
    tree.entries().iter().map(one).collect()
}

#[test]
fn debugfs_takes_out_what_went_in() {
    let dir = tempfile::tempdir().unwrap();
    let tree = tree(dir.path());
    let image = dir.path().join("root.ext4");
    write(&tree, Ext4Size::AtLeast { free: 10 << 20 }, &image);
    checked(tool("e2fsck", "e2fsprogs").arg("-fn").arg(&image));
    let out = dir.path().join("out");
    std::fs::create_dir(&out).unwrap();
    let dump = format!("rdump / {}", out.display());
    if checked(tool("debugfs", "e2fsprogs").arg("-R").arg(dump).arg(&image)).is_none() {
        return;
    }
    std::fs::remove_dir(out.join("lost+found")).unwrap();
    let mut found = Tree::new();
    found.add_folder("", &out, FolderOptions::default()).unwrap();
    let (expected, found) = (described(&tree), described(&found));
    assert_eq!(expected.keys().collect::<Vec<_>>(), found.keys().collect::<Vec<_>>());
    for (path, (mode, contents)) in expected {
        assert!(found[&path].1 == contents, "{path}");
        // debugfs gives a file its owner last, which takes the special bits away.
        assert!(mode == 0o777 || found[&path].0 & 0o777 == mode & 0o777, "{path}");
    }
}

#[test]
fn what_others_make_is_read_as_it_is() {
    use std::os::unix::fs::{FileExt, symlink};
    let dir = tempfile::tempdir().unwrap();
    let from = dir.path().join("from");
    std::fs::create_dir_all(from.join("many")).unwrap();
    // A folder with an index, both kinds of links, and a file of so many pieces that its tree has two levels.
    for n in 0..1500 {
        std::fs::write(from.join(format!("many/a-name-that-takes-some-room-{n}")), n.to_string()).unwrap();
    }
    symlink("many/a-name-that-takes-some-room-7", from.join("short")).unwrap();
    symlink("./".repeat(100) + "short", from.join("long")).unwrap();
    let sparse = std::fs::File::create(from.join("sparse")).unwrap();
    for n in 0..500 {
        sparse.write_all_at(&[7; 4096], n * 65536).unwrap();
    }
    sparse.set_len(40 << 20).unwrap();
    let image = dir.path().join("root.ext4");
    for size in ["1024", "4096"] {
        std::fs::File::create(&image).unwrap().set_len(200 << 20).unwrap();
        let made =
            tool("mke2fs", "e2fsprogs").args(["-q", "-t", "ext4", "-O", "^orphan_file", "-b", size, "-d"]).arg(&from);
        if checked(made.arg(&image)).is_none() {
            return;
        }
        let source = FileSource::new(std::fs::File::open(&image).unwrap()).unwrap();
        let reader = Reader::open(Region::new(&source, 0, u64::MAX)).unwrap();
        assert_eq!(reader.list("/many").unwrap().unwrap().len(), 1500, "{size}");
        assert_eq!(reader.list("/").unwrap().unwrap(), ["long", "lost+found", "many", "short", "sparse"]);
        for n in (0..1500).step_by(37) {
            let path = format!("/many/a-name-that-takes-some-room-{n}");
            assert_eq!(reader.read(&path, 10).unwrap().unwrap(), n.to_string().into_bytes());
        }
        assert_eq!(reader.read("/long", 10).unwrap().unwrap(), b"7");
        assert_eq!(reader.link("/long").unwrap().unwrap().len(), 205);
        let read = reader.read("/sparse", 64 << 20).unwrap().unwrap();
        assert!(read == std::fs::read(from.join("sparse")).unwrap(), "{size}");
    }
}

#[test]
fn a_file_with_more_names_than_ext4_allows_is_there_twice() {
    let dir = tempfile::tempdir().unwrap();
    let mut tree = Tree::new();
    let first = tree.push(bytes("first", "same")).unwrap();
    for n in 0..65_010 {
        tree.push(entry(format!("{n}"), Node::Hardlink(first))).unwrap();
    }
    let image = dir.path().join("root.ext4");
    write(&tree, Ext4Size::AtLeast { free: 0 }, &image);
    checked(tool("e2fsck", "e2fsprogs").arg("-fn").arg(&image));
}

#[test]
fn it_grows_to_a_larger_disk() {
    let dir = tempfile::tempdir().unwrap();
    let tree = tree(dir.path());
    let image = dir.path().join("root.ext4");
    write(&tree, Ext4Size::AtLeast { free: 10 << 20 }, &image);
    let file = std::fs::OpenOptions::new().write(true).open(&image).unwrap();
    file.set_len(20 << 30).unwrap();
    if checked(tool("e2fsck", "e2fsprogs").arg("-f").arg("-p").arg(&image)).is_some() {
        checked(tool("resize2fs", "e2fsprogs").arg(&image));
        checked(tool("e2fsck", "e2fsprogs").arg("-fn").arg(&image));
    }
}

#[test]
fn names_links_and_special_files_that_cannot_be_are_refused() {
    use std::os::unix::ffi::OsStrExt;
    let dir = tempfile::tempdir().unwrap();
    let odd = dir.path().join(std::ffi::OsStr::from_bytes(b"caf\xe9"));
    std::fs::write(&odd, "").unwrap();
    let error = Tree::new().add_folder("", dir.path(), FolderOptions::default()).unwrap_err();
    assert!(error.to_string().ends_with("is not UTF-8 and cannot be put into an image: rename it"), "{error}");
    std::fs::remove_file(odd).unwrap();

    let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
    let error = Tree::new().add_folder("", dir.path(), FolderOptions::default()).unwrap_err();
    assert!(error.to_string().ends_with("is a socket, and cannot be put into an image"), "{error}");

    let mut tree = Tree::new();
    for (entry, why) in [
        (entry("a/b", Node::Dir), "the tree has a wrong entry 'a/b': its directory is not there"),
        (entry("/a", Node::Dir), "the tree has a wrong entry '/a': a path has no leading slash"),
        (
            entry("..", Node::Dir),
            "the tree has a wrong entry '..': a name has 1 to 255 bytes and is neither '.' nor '..'",
        ),
        (
            entry("a", Node::Symlink(String::new())),
            "the tree has a wrong entry 'a': a link's target has 1 to 4095 bytes",
        ),
        (entry("a", Node::Hardlink(3)), "the tree has a wrong entry 'a': a hard link names an earlier file"),
    ] {
        assert_eq!(tree.push(entry).unwrap_err().to_string(), why);
    }
    tree.push(entry("a", Node::Dir)).unwrap();
    let twice = tree.push(entry("a", Node::Dir)).unwrap_err();
    assert_eq!(twice.to_string(), "the tree has a wrong entry 'a': it is there already");
}

#[test]
fn a_path_is_followed_as_the_kernel_follows_it() {
    let mut tree = Tree::new();
    tree.push(bytes("file", "at the root")).unwrap();
    tree.push(entry("d", Node::Dir)).unwrap();
    tree.push(bytes("d/file", "in d")).unwrap();
    for (path, to) in [
        ("short", "file"),
        ("d/absolute", "/file"),
        ("d/relative", "file"),
        ("d/up", "../../../file"),
        ("folder", "d"),
        ("loop", "loop"),
        ("dangling", "none"),
        ("chain-0", "file"),
    ] {
        tree.push(entry(path, Node::Symlink(to.into()))).unwrap();
    }
    for n in 1..42 {
        tree.push(entry(format!("chain-{n}"), Node::Symlink(format!("chain-{}", n - 1)))).unwrap();
    }
    tree.push(entry("long", Node::Symlink("./".repeat(150) + "d"))).unwrap();
    for (name, mtime) in [("1969", -1), ("2100", 4_200_000_000), ("2300", 10_400_000_000)] {
        tree.push(cairn_disk::Entry { mtime, ..bytes(name, "x") }).unwrap();
    }
    // So many names that the folder has several blocks.
    tree.push(entry("many", Node::Dir)).unwrap();
    for n in 0..700 {
        tree.push(bytes(format!("many/name-{n}"), n.to_string())).unwrap();
    }
    let plan = Ext4Plan::new(&tree, &options(Ext4Size::AtLeast { free: 0 })).unwrap();
    let image = cairn_disk::MemoryTarget::new(usize::try_from(plan.bytes()).unwrap(), 0);
    plan.write(&image, 0, 1, &Quiet).unwrap();
    let reader = Reader::open(Region::new(&image, 0, u64::MAX)).unwrap();
    let info = reader.info();
    assert_eq!((info.label.as_str(), info.bytes), ("root", plan.bytes()));
    assert!(format!("{reader:?}").starts_with("Reader { uuid: 00000000-0000-0000-0000-000000000005"));

    for (path, wanted) in [
        ("/file", Some("at the root")),
        ("file", Some("at the root")),
        ("/./d/./file", Some("in d")),
        ("/d/../file", Some("at the root")),
        ("/../../file", Some("at the root")),
        ("/../d/absolute", Some("at the root")),
        ("/short", Some("at the root")),
        ("/d/absolute", Some("at the root")),
        ("/d/relative", Some("in d")),
        ("/d/up", Some("at the root")),
        ("/folder/file", Some("in d")),
        ("/long/relative", Some("in d")),
        ("/chain-39", Some("at the root")),
        ("/chain-40", None),
        ("/loop", None),
        ("/dangling", None),
        ("/d", None),
        ("/file/x", None),
        ("/none/x", None),
        ("/many/name-699", Some("699")),
    ] {
        let found = reader.read(path, 100).unwrap().map(|bytes| String::from_utf8(bytes).unwrap());
        assert_eq!(found.as_deref(), wanted, "{path}");
    }
    for (path, wanted) in [
        ("/short", Some("file")),
        ("/folder/absolute", Some("/file")),
        ("/long", Some(&*("./".repeat(150) + "d"))),
        ("/file", None),
        ("/none", None),
    ] {
        assert_eq!(reader.link(path).unwrap().as_deref(), wanted, "{path}");
    }
    let identity = |path: &str| reader.identity(path).unwrap();
    assert_eq!((identity("/"), identity("/.."), identity("/none")), (Some(2), Some(2), None));
    assert_eq!(identity("/folder"), identity("/d"));
    assert_ne!(identity("/file"), identity("/d/file"));
    let times = ["/1969", "/2100", "/2300", "/file", "/none"].map(|path| reader.modified(path).unwrap());
    assert_eq!(times, [Some(-1), Some(4_200_000_000), Some(10_400_000_000), Some(EPOCH), None]);
    assert_eq!(reader.list("/many").unwrap().unwrap().len(), 700);
    assert_eq!((reader.list("/file").unwrap(), reader.list("/none").unwrap()), (None, None));
    reader.budget().depth(1000).unwrap_err();
    assert!(reader.read("/file", 100).is_err(), "the account is the one on which it draws");
}

/// A small one of mke2fs's with what ours never have: short inodes, blocks of 1 KiB, pieces with holes between them.
#[test]
fn small_ones_that_others_make_are_read() {
    use std::os::unix::fs::FileExt;
    let dir = tempfile::tempdir().unwrap();
    let from = dir.path().join("from");
    std::fs::create_dir(&from).unwrap();
    let sparse = std::fs::File::create(from.join("sparse")).unwrap();
    for n in 0..12 {
        sparse.write_all_at(&vec![n + 1; 8192], u64::from(n) * 20_480).unwrap();
    }
    sparse.set_len(300_000).unwrap();
    std::fs::write(from.join("empty"), "").unwrap();
    let image = dir.path().join("root.ext4");
    for options in
        [&["-b", "1024"][..], &["-b", "4096"], &["-b", "4096", "-I", "128"], &["-b", "2048", "-O", "^metadata_csum"]]
    {
        std::fs::File::create(&image).unwrap().set_len(16 << 20).unwrap();
        let made = tool("mke2fs", "e2fsprogs").args(["-q", "-F", "-t", "ext4", "-O", "^orphan_file", "-d"]).arg(&from);
        if checked(made.args(options.iter().copied()).arg(&image)).is_none() {
            return;
        }
        let source = FileSource::new(std::fs::File::open(&image).unwrap()).unwrap();
        let reader = Reader::open(Region::new(&source, 0, u64::MAX)).unwrap();
        assert_eq!(reader.list("/").unwrap().unwrap(), ["empty", "lost+found", "sparse"], "{options:?}");
        assert!(reader.read("/sparse", 300_000).unwrap().unwrap() == std::fs::read(from.join("sparse")).unwrap());
        assert_eq!(reader.read("/empty", 0).unwrap().unwrap(), b"");
        assert!(reader.read("/sparse", 299_999).is_err());
    }
}
