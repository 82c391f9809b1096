//! A file that is no image, given to `run`, `verify` and `inspect`: told at once, by name, without QEMU.

use std::path::{Path, PathBuf};

use qemu_tests::Cairn;

fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut torn = b"QFI\xfb\0\0\0\x03".to_vec();
    torn.resize(20, 0);
    let files: [(&str, Vec<u8>); 5] = [
        ("empty.raw", Vec::new()),
        ("text.raw", b"this is a text\n".repeat(100)),
        ("zeros.raw", vec![0; 1 << 20]),
        ("packed.raw.gz", [vec![0x1f, 0x8b, 8, 0], vec![7; 2000]].concat()),
        ("torn.qcow2", torn),
    ];
    files.into_iter().map(|(name, bytes)| (folder.join(name), bytes)).collect()
}

#[test]
fn what_is_no_image_is_refused_by_name() {
    let cairn = Cairn::find().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let machine = folder.path().join("m.yaml");
    cairn.cmd(["init"]).arg(&machine).run().unwrap().must(0).unwrap();
    for (path, bytes) in files(folder.path()) {
        std::fs::write(&path, bytes).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        for command in [cairn.cmd(["run"]), cairn.cmd(["inspect"]), cairn.cmd(["verify", "--against"]).arg(&machine)] {
            let done = command.arg(&path).run().unwrap();
            done.must(1).unwrap().says(name).unwrap();
            assert!(done.stdout.is_empty() && !done.stderr.contains("panicked"), "{done}");
        }
    }
}

#[test]
fn a_folder_and_a_missing_file_are_told_apart() {
    let cairn = Cairn::find().unwrap();
    let folder = tempfile::tempdir().unwrap();
    for command in ["run", "inspect"] {
        let done = cairn.cmd([command]).arg(folder.path()).run().unwrap();
        done.must(1).unwrap().says("directory").unwrap();
        let done = cairn.cmd([command]).arg(folder.path().join("nothing.raw")).run().unwrap();
        done.must(1).unwrap().says("No such file").unwrap();
    }
}
