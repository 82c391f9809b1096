//! What Windows leaves in an NTFS volume, made and judged by ntfs-3g's programs.

use std::fs;
use std::path::{Path, PathBuf};

use cairn_disk::ntfs::{State, state};
use cairn_disk::{FileSource, MemoryTarget, Target};
use cairn_process::ToolError;

use crate::common::tool;

/// A program of ntfs-3g's, and how it ended.
fn run(program: &str, args: &[&str]) -> i32 {
    match tool(program, "ntfs-3g").args(args.iter().copied()).output() {
        Ok(_) => 0,
        Err(ToolError::Failed { status, .. }) => status.code().unwrap_or(-1),
        Err(why) => panic!("{why} (see scripts/setup)"),
    }
}

fn volume(folder: &Path, cluster: u32) -> PathBuf {
    let path = folder.join(format!("ntfs-{cluster}"));
    fs::File::create(&path).unwrap().set_len(16 << 20).unwrap();
    let file = path.to_str().unwrap();
    assert_eq!(
        run("mkntfs", &["-q", "-F", "-c", &cluster.to_string(), "-p", "0", "-H", "0", "-S", "0", "-s", "512", file]),
        0
    );
    path
}

/// Puts a file into it, as Windows has it: with these first bytes, and zeros behind them.
fn put(volume: &Path, name: &str, begin: &[u8]) {
    let contents = volume.with_extension("contents");
    let mut bytes = begin.to_vec();
    bytes.resize(64 << 10, 0);
    fs::write(&contents, bytes).unwrap();
    assert_eq!(run("ntfscp", &["-q", volume.to_str().unwrap(), contents.to_str().unwrap(), name]), 0, "{name}");
}

fn read(path: &Path) -> Option<State> {
    state(&FileSource::new(fs::File::open(path).unwrap()).unwrap())
}

/// What ntfs-3g says of it: 14 is hibernated (its `ntfs_volume_status`).
fn sleeps(path: &Path) -> bool {
    match run("ntfs-3g.probe", &["--readwrite", path.to_str().unwrap()]) {
        0 => false,
        14 => true,
        other => panic!("ntfs-3g.probe ends with {other}"),
    }
}

#[test]
fn who_sleeps_is_seen_as_ntfs_3g_sees_it() {
    let folder = tempfile::tempdir().unwrap();
    for cluster in [512, 4096, 65536] {
        let path = volume(folder.path(), cluster);
        assert_eq!(read(&path), Some(State::default()), "{cluster}");
        put(&path, "Windows", b"");
        // So many names that the folder's index has blocks, and with the smallest clusters a list of its attributes.
        for n in 0..40 {
            put(&path, &format!("a file with a long name of its own, number {n}"), b"");
        }
        assert_eq!(read(&path), Some(State { windows: true, ..State::default() }), "{cluster}");
        for (begin, asleep) in [(&[0; 4][..], false), (b"wake", false), (b"hibr", true), (b"HIBR", true)] {
            // Into one that sleeps nothing more can be put.
            let path = folder.path().join("copy");
            fs::copy(folder.path().join(format!("ntfs-{cluster}")), &path).unwrap();
            put(&path, "hiberfil.sys", begin);
            assert_eq!(sleeps(&path), asleep, "{cluster} {begin:?}");
            assert_eq!(read(&path), Some(State { sleeps: asleep, windows: true, dirty: false }), "{cluster} {begin:?}");
        }
    }
}

#[test]
fn what_is_no_volume_or_damaged_says_nothing() {
    assert_eq!(state(&MemoryTarget::new(1 << 20, 0)), None);
    assert_eq!(state(&MemoryTarget::new(100, 0)), None);
    let folder = tempfile::tempdir().unwrap();
    let path = volume(folder.path(), 4096);
    put(&path, "hiberfil.sys", b"hibr");
    let good = fs::read(&path).unwrap();
    // Each byte of the boot sector's numbers, and of the records that are read, turned over: whatever comes out, it ends.
    let mft = 4096 * usize::try_from(u64::from_le_bytes(good[48..56].try_into().unwrap())).unwrap();
    let disk = MemoryTarget::new(good.len(), 0);
    disk.write_at(0, &good).unwrap();
    let places =
        (3..72).chain([0, 3, 5].into_iter().flat_map(|record| mft + record * 1024..mft + record * 1024 + 1024));
    let mut unknown = 0;
    for at in places {
        disk.write_at(at as u64, &[!good[at]]).unwrap();
        unknown += usize::from(state(&disk).is_none());
        disk.write_at(at as u64, &good[at..=at]).unwrap();
    }
    assert!(unknown > 30, "{unknown}");
    assert!(state(&disk).unwrap().sleeps);
    // Marked as Windows and Linux mark it: the flags of `$Volume`.
    let record = mft + 3 * 1024;
    let information = (record..record + 1024).step_by(8).find(|at| good[*at..at + 4] == [0x70, 0, 0, 0]).unwrap();
    disk.write_at(information as u64 + 24 + 10, &[1]).unwrap();
    assert!(state(&disk).unwrap().dirty);
}
