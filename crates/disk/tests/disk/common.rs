//! Trees, plans and other people's programs.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use cairn_disk::fat::FatFile;
use cairn_disk::{Content, Entry, FileTarget, Node, Source, Tree};
use cairn_layout::{DiskPlan, Needs, SectorSize, plan_with_sectors};
use cairn_machine::model::{Disk, NamedLayout};
use cairn_machine::size::Size;
use cairn_process::{Tool, ToolError};
use uuid::Uuid;

pub const EPOCH: i64 = 1_700_000_000;
pub const SEED: Uuid = Uuid::from_u128(0xabcd_ef01_2345_6789_abcd_ef01_2345_6789);

/// Runs a checker, which must be content. One that is not installed is a failure in CI, and elsewhere told as a skip.
#[track_caller]
pub fn checked(tool: Tool) -> Option<String> {
    let mut running = match tool.start(Stdio::null(), Stdio::piped()) {
        Ok(running) => running,
        Err(missing @ ToolError::Missing { .. }) => {
            cairn_testkit::skip(missing);
            return None;
        }
        Err(error) => panic!("{error}"),
    };
    let mut said = String::new();
    running.take_stdout().unwrap().read_to_string(&mut said).unwrap();
    if let Err(error) = running.wait() {
        panic!("{error}\n{said}");
    }
    Some(said)
}

pub fn tool(program: &str, package: &'static str) -> Tool {
    Tool::new(program, package, "check what was written").env("LC_ALL", "C")
}

/// A new image file.
pub fn target(path: &Path, len: u64) -> FileTarget {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path).unwrap();
    FileTarget::new(file, path.to_string_lossy(), len).unwrap()
}

/// A copy of one partition, for checkers that want a file of its own; holes stay holes.
pub fn cut(source: &dyn Source, offset: u64, len: u64, to: &Path) -> PathBuf {
    let file = File::create(to).unwrap();
    file.set_len(len).unwrap();
    let mut buffer = vec![0; 1 << 20];
    let mut at = 0;
    while at < len {
        let piece = usize::try_from((len - at).min(1 << 20)).unwrap();
        source.read_at(offset + at, &mut buffer[..piece]).unwrap();
        if buffer[..piece].iter().any(|b| *b != 0) {
            file.write_all_at(&buffer[..piece], at).unwrap();
        }
        at += piece as u64;
    }
    to.to_path_buf()
}

pub fn entry(path: impl Into<String>, node: Node) -> Entry {
    let mode = if node == Node::Dir { 0o755 } else { 0o644 };
    Entry { path: path.into(), mode, uid: 0, gid: 0, mtime: EPOCH, node }
}

pub fn bytes(path: impl Into<String>, content: impl Into<Vec<u8>>) -> Entry {
    let content = content.into();
    entry(path, Node::File { len: content.len() as u64, content: Content::Bytes(content) })
}

/// Reproducible bytes of which no two blocks are the same.
pub fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut block = Vec::with_capacity(4096);
    while block.len() < 4096 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        block.extend_from_slice(&state.to_le_bytes());
    }
    let mut out = Vec::with_capacity(len + 4096);
    while out.len() < len {
        let number = (out.len() as u64).to_le_bytes();
        block[..8].copy_from_slice(&number);
        out.extend_from_slice(&block);
    }
    out.truncate(len);
    out
}

/// A tree with one of everything: all lengths around a block and a buffer, links of both kinds, odd names and modes, a
/// directory large enough to be hashed. Its larger files are in `folder`.
pub fn tree(folder: &Path) -> Tree {
    let mut tree = Tree::new();
    for dir in ["bin", "etc", "many", "nix", "nix/store", "nix/store/abc-big", "tmp"] {
        tree.push(entry(dir, Node::Dir)).unwrap();
    }
    tree.push(Entry { mode: 0o1777, ..entry("tmp/sticky", Node::Dir) }).unwrap();
    for len in [0, 1, 4095, 4096, 4097, 65536, 262_143, 262_144, 1_048_576, 1_048_577] {
        tree.push(bytes(format!("etc/len-{len}"), noise(len, len as u64))).unwrap();
    }
    for (n, len) in [1_usize, 4096, 262_144, 300_001, 5 << 20, (40 << 20) + 17].into_iter().enumerate() {
        let path = folder.join(format!("big-{n}"));
        File::create(&path).unwrap().write_all(&noise(len, n as u64)).unwrap();
        let node = Node::File { len: len as u64, content: Content::Path(path) };
        tree.push(Entry { mode: 0o444, ..entry(format!("nix/store/abc-big/big-{n}"), node) }).unwrap();
    }
    let original = tree.find("etc/len-4097").unwrap();
    tree.push(entry("etc/same", Node::Hardlink(original))).unwrap();
    tree.push(entry("etc/short link", Node::Symlink("len-1".into()))).unwrap();
    tree.push(entry("etc/long-link", Node::Symlink("../".repeat(100) + "etc/len-1"))).unwrap();
    tree.push(entry("etc/ünïcödé", Node::Symlink("len-1".into()))).unwrap();
    tree.push(Entry { mode: 0o4755, uid: 1000, gid: 100, ..bytes("bin/setuid", "x") }).unwrap();
    for n in 0..3000 {
        tree.push(bytes(format!("many/a-rather-long-name-of-a-file-{n}"), n.to_string())).unwrap();
    }
    tree
}

pub fn boot_files() -> Vec<FatFile> {
    vec![
        FatFile::from_bytes("EFI/BOOT/BOOTX64.EFI", noise(100_001, 1)),
        FatFile::from_bytes("loader/loader.conf", "timeout 3\n"),
        FatFile::from_bytes("loader/entries/cairn-generation-1.conf", "title Cairn\nversion 1\n"),
        FatFile::from_bytes("EFI/cairn/3ba1c2d4e5f60718-linux.efi", noise(11 << 20, 2)),
        FatFile::from_bytes("EFI/cairn/9f8e7d6c5b4a3928-initrd", noise((9 << 20) + 3, 3)),
        FatFile::from_bytes("empty", ""),
    ]
}

pub fn uefi(needs: &Needs, size: Option<Size>, sector: SectorSize) -> DiskPlan {
    let disk = Disk { free: Size::from_mib(64), ..Disk::of_layout(NamedLayout::Uefi) };
    plan_with_sectors(&disk, SEED, needs, size, sector).unwrap()
}
