//! Whole images, as `cairn inspect` reads them.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use cairn_disk::fat::FatFile;
use cairn_disk::image::qcow2::{Qcow2Source, convert};
use cairn_disk::{Content, Contents, Entry, FileTarget, Node, Source, Tree, apply, ext4, fat};
use cairn_layout::{Needs, plan};
use cairn_machine::model::{Disk, NamedLayout};
use cairn_machine::size::Size;
use cairn_observe::inspect::inspect;
use cairn_process::Quiet;
use uuid::Uuid;

use super::Target;
use super::disks::mend_gpt;
use crate::patch::{Good, Patch};

/// A qcow2 image.
pub(super) const QCOW2: Target =
    Target { name: "qcow2", seeds, words: &["QFI\u{fb}"], most: 256, quick: 5000, run: qcow2 };

/// A raw image of a machine.
pub(super) const IMAGE: Target = Target {
    name: "image",
    seeds,
    words: &["/nix/store/", "..", "init=", "title ", "linux /", "\u{1b}[2J"],
    most: 512,
    quick: 600,
    run: image,
};

const A: &str = "/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-base";
const S: &str = "/nix/store/ssssssssssssssssssssssssssssssss-cairn-system-hello";

fn seeds() -> Vec<Vec<u8>> {
    vec![Vec::new(), vec![9, 0, 4, 8, 0xff, 0xff, 0, 0], vec![30, 0, 0, 6, 1, 2, 3, 4, 80, 0, 9, 2, 0, 1]]
}

/// A small machine's image.
pub(super) fn good_image() -> &'static Good {
    static GOOD: OnceLock<Good> = OnceLock::new();
    GOOD.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
        let path = folder.path().join("hello.raw");
        write(&path).unwrap_or_else(|e| panic!("{e}"));
        File::open(path).and_then(Good::read).unwrap_or_else(|e| panic!("{e}"))
    })
}

fn write(path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let tree = tree()?;
    let files = [
        FatFile::from_bytes("loader/loader.conf", "timeout 3\n"),
        FatFile::from_bytes(
            "loader/entries/cairn-2.conf",
            "title Cairn\nversion 2\noptions quiet\nlinux /EFI/cairn/linux\n",
        ),
        FatFile::from_bytes("EFI/cairn/linux", vec![1; 600]),
    ];
    let disk = Disk { free: Size::default(), ..Disk::of_layout(NamedLayout::Uefi) };
    let needs = Needs { esp: fat::needed(&files), root: ext4::needed(&tree, 1 << 20)?, ..Needs::default() };
    let plan = plan(&disk, Uuid::from_u128(1), &needs, None)?;
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
    let target = FileTarget::new(file, path.to_string_lossy(), plan.bytes())?;
    let contents = Contents {
        files: [("/boot".into(), &files as &dyn fat::FatContents)].into(),
        trees: [("/".into(), &tree)].into(),
    };
    apply(&plan, &contents, 1_700_000_000, &target, 1, &Quiet)?;
    Ok(())
}

fn tree() -> Result<Tree, cairn_disk::DiskError> {
    let mut tree = Tree::new();
    let mut add = |path: &str, node: Node| -> Result<(), cairn_disk::DiskError> {
        let path = path.trim_start_matches('/');
        if let Some((parent, _)) = path.rsplit_once('/') {
            tree.dirs(parent, 1)?;
        }
        tree.push(Entry { path: path.to_string(), mode: 0o444, uid: 0, gid: 0, mtime: 1, node }).map(drop)
    };
    let file = |text: &str| Node::File { len: text.len() as u64, content: Content::Bytes(text.into()) };
    add(&format!("{A}/kernel-release"), file("6.12.1-cloud\n"))?;
    add(&format!("{A}/etc/hostname"), file("hello\n"))?;
    add(&format!("{S}/base"), Node::Symlink(A.into()))?;
    add(&format!("{S}/etc"), Node::Symlink(format!("{A}/etc")))?;
    let boot = r#"{"org.nixos.bootspec.v1": {"label": "Cairn hello", "kernelParams": ["quiet", "rw"]}}"#;
    add(&format!("{S}/boot.json"), file(boot))?;
    add(&format!("{S}/sbom.cdx.json"), file(r#"{"components": [{"name": "zlib", "version": "1.3"}]}"#))?;
    add("nix/var/nix/profiles/system", Node::Symlink("system-2-link".into()))?;
    add("nix/var/nix/profiles/system-1-link", Node::Symlink(A.into()))?;
    add("nix/var/nix/profiles/system-2-link", Node::Symlink(S.into()))?;
    add("nix-path-registration", file(&format!("{A}\nab\n1000\n\n0\n{S}\nab\n500\n\n2\n{A}\n{S}\n")))?;
    Ok(tree)
}

/// A file that holds a good image, and is good again after each input.
struct Written {
    _folder: tempfile::TempDir,
    path: PathBuf,
    file: File,
}

impl Written {
    fn new(good: &Good) -> std::io::Result<Written> {
        let folder = crate::scratch()?;
        let path = folder.path().join("image");
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        good.write(&file)?;
        Ok(Written { _folder: folder, path, file })
    }

    fn with(&self, good: &Good, patches: &[Patch], read: impl FnOnce(&Path)) {
        let put = |at: usize, bytes: &[u8]| self.file.write_all_at(bytes, at as u64).unwrap_or_else(|e| panic!("{e}"));
        patches.iter().for_each(|patch| put(patch.at, &patch.bytes));
        read(&self.path);
        patches.iter().for_each(|patch| put(patch.at, &good.bytes(patch.at, patch.bytes.len())));
    }
}

fn image(input: &[u8]) {
    thread_local!(static WRITTEN: Written = Written::new(good_image()).unwrap_or_else(|e| panic!("{e}")));
    let mut disk = good_image().patched(input);
    mend_gpt(&mut disk);
    WRITTEN.with(|written| {
        written.with(good_image(), disk.patches(), |path| drop(inspect(path)));
    });
}

fn qcow2(input: &[u8]) {
    thread_local!(static WRITTEN: (Written, Good) = {
        let made = || -> Result<_, Box<dyn std::error::Error>> {
            let folder = tempfile::tempdir()?;
            let (raw, out) = (folder.path().join("raw"), folder.path().join("qcow2"));
            let mut bytes = vec![0; 3 << 20];
            bytes[..70_000].fill(5);
            std::fs::write(&raw, bytes)?;
            let file = OpenOptions::new().read(true).write(true).create_new(true).open(&out)?;
            convert((&File::open(&raw)?, &raw), (&file, &out), &Quiet)?;
            let good = Good::read(File::open(&out)?)?;
            Ok((Written::new(&good)?, good))
        };
        made().unwrap_or_else(|e| panic!("{e}"))
    });
    WRITTEN.with(|(written, good)| {
        written.with(good, good.patched(input).patches(), |path| {
            let Ok(disk) = Qcow2Source::open(path) else { return };
            let mut buffer = [0; 4096];
            for at in [0, 4096, 65_535, 1 << 20, disk.len().saturating_sub(4096), u64::MAX - 4096] {
                let _ = disk.read_at(at, &mut buffer);
            }
        });
    });
}
