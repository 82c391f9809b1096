//! qcow2 files: QEMU finds nothing wrong, the same disk is in them, and the same bytes come out whatever the holes were.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use cairn_disk::Source;
use cairn_disk::image::qcow2::{Qcow2Source, convert};
use cairn_process::{Quiet, Tool, ToolError};

const CLUSTER: u64 = 65536;

/// Runs qemu-img, which must be content; without it this is a failure in CI, and elsewhere told as a skip.
#[track_caller]
fn qemu_img(args: &[&str], paths: &[&Path]) -> Option<String> {
    let tool = Tool::new("qemu-img", "qemu-utils", "check what was written")
        .args(args.iter().copied())
        .args(paths.iter().copied());
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

fn new(path: PathBuf) -> (File, PathBuf) {
    (OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path).unwrap(), path)
}

/// A raw disk of `len` bytes with something at these places.
fn raw(path: PathBuf, len: u64, data: &[(u64, &[u8])]) -> (File, PathBuf) {
    let (file, path) = new(path);
    file.set_len(len).unwrap();
    for (at, bytes) in data {
        file.write_all_at(bytes, *at).unwrap();
    }
    (file, path)
}

#[track_caller]
fn round_trip(dir: &Path, len: u64, data: &[(u64, &[u8])]) -> Vec<u8> {
    let (raw, raw_path) = raw(dir.join("disk.raw"), len, data);
    let (out, path) = new(dir.join("disk.qcow2"));
    convert((&raw, &raw_path), (&out, &path), &Quiet).unwrap();
    if let Some(said) = qemu_img(&["check"], &[&path]) {
        assert!(said.contains("No errors were found"), "{said}");
        let said = qemu_img(&["compare", "-f", "raw", "-F", "qcow2"], &[&raw_path, &path]).unwrap();
        assert!(said.contains("Images are identical"), "{said}");
    }
    let read = Qcow2Source::open(&path).unwrap();
    assert_eq!(read.len(), len);
    let mut buffer = vec![0xff; 3 << 20];
    let mut at = 0;
    while at < len.min(64 << 20) {
        let piece = usize::try_from((len - at).min(3 << 20)).unwrap();
        read.read_at(at, &mut buffer[..piece]).unwrap();
        let mut expected = vec![0; piece];
        raw.read_exact_at(&mut expected, at).unwrap();
        assert!(buffer[..piece] == expected, "at {at}");
        at += piece as u64;
    }
    assert!(read.read_at(len - 1, &mut [0; 2]).is_err());
    let mut bytes = Vec::new();
    File::open(&path).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn disks_of_all_shapes_survive() {
    let dir = tempfile::tempdir().unwrap();
    let some = vec![7; 300_000];
    round_trip(dir.path(), 1 << 20, &[]);
    round_trip(dir.path(), 512, &[(0, &[1; 512])]);
    // Not a whole number of clusters, with data in the last one.
    round_trip(dir.path(), 10 * CLUSTER + 512, &[(0, &some), (10 * CLUSTER, &[9; 512])]);
    // Several tables of the second level, some of them empty.
    round_trip(dir.path(), 5 << 30, &[(0, &some), ((1 << 30) - 5, &some), ((5 << 30) - 4096, &[1; 4096])]);
}

#[test]
fn zeros_that_were_written_take_no_room() {
    let dir = tempfile::tempdir().unwrap();
    let data = vec![5; 1 << 20];
    let holes = round_trip(dir.path(), 32 << 20, &[(4 << 20, &data)]);
    let zeros = vec![0; 16 << 20];
    let written = round_trip(dir.path(), 32 << 20, &[(0, &zeros), (4 << 20, &data), (5 << 20, &zeros)]);
    assert!(holes == written, "holes and zeros make the same file");
    assert!(holes.len() < 2 << 20, "{}", holes.len());
}

#[test]
fn what_qemu_made_is_read_or_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (raw_file, raw_path) = raw(dir.path().join("disk.raw"), 40 << 20, &[(3 << 20, &[3; 200_000])]);
    let made = dir.path().join("made.qcow2");
    for options in ["compat=v3", "compat=v2", "cluster_size=4k", "cluster_size=2M"] {
        let arguments = ["convert", "-f", "raw", "-O", "qcow2", "-o", options];
        if qemu_img(&arguments, &[&raw_path, &made]).is_none() {
            return;
        }
        let read = Qcow2Source::open(&made).unwrap();
        let (mut a, mut b) = (vec![0; 1 << 20], vec![0; 1 << 20]);
        for at in [0, 3 << 20, (3 << 20) + 150_001] {
            read.read_at(at, &mut a).unwrap();
            raw_file.read_exact_at(&mut b, at).unwrap();
            assert!(a == b, "{options} at {at}");
        }
    }
    qemu_img(&["convert", "-c", "-f", "raw", "-O", "qcow2"], &[&raw_path, &made]);
    let error = Qcow2Source::open(&made).unwrap().read_at(3 << 20, &mut [0; 10]).unwrap_err();
    assert!(error.to_string().contains("compressed"), "{error}");

    let overlay = dir.path().join("overlay.qcow2");
    let base = raw_path.to_string_lossy();
    qemu_img(&["create", "-q", "-f", "qcow2", "-F", "raw", "-b", &base], &[&overlay]);
    let error = Qcow2Source::open(&overlay).unwrap_err();
    assert!(error.to_string().contains("with a backing file; `qemu-img convert`"), "{error}");
}

#[test]
fn damaged_headers_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let whole = round_trip(dir.path(), 1 << 20, &[(0, &[1; 4096])]);
    let path = dir.path().join("damaged");
    let refused = |bytes: &[u8], why: &str| {
        std::fs::write(&path, bytes).unwrap();
        let error = Qcow2Source::open(&path).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    };
    refused(&whole[..50], "it ends in its header");
    refused(&whole[..90], "it ends in its header");
    refused(&whole[..104], "it ends in its table");
    let with = |at: usize, bytes: &[u8]| {
        let mut damaged = whole.clone();
        damaged[at..at + bytes.len()].copy_from_slice(bytes);
        damaged
    };
    refused(&with(4, &[0, 0, 0, 9]), "of version 9");
    refused(&with(20, &[0, 0, 0, 60]), "impossible size");
    refused(&with(24, &[0x7f; 8]), "does not go with its size");
    refused(&with(36, &[0xff; 4]), "does not go with its size");
    refused(&with(32, &[0, 0, 0, 1]), "that is encrypted");
    refused(&with(79, &[4]), "with features (0x4) that only QEMU reads");
    refused(&with(79, &[2]), "it says so itself");
    // Tables that point past the end: an error when it is read, not a panic.
    std::fs::write(&path, with(3 * 65536, &[0x80, 0, 0x7f, 0, 0, 0, 0, 0])).unwrap();
    assert!(Qcow2Source::open(&path).unwrap().read_at(0, &mut [0; 10]).is_err());
}
