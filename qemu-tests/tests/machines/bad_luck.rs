//! A full disk, an output that is no place for a file, no QEMU: clear words, nothing half done.

use anyhow::{Result, ensure};
use qemu_tests::command::root;
use qemu_tests::hello::Hello;
use qemu_tests::scenario::BUILD;
use qemu_tests::{Cairn, Scenario};

pub const DISK_FULL: Scenario = Scenario {
    name: "a disk that is full while the image is written: nothing is left",
    needs: &["mmdebstrap", "unshare", "mount"],
    run: disk_full,
};

pub const OUTPUT_IS_NO_PLACE: Scenario = Scenario {
    name: "an output that is a device, a file, or in the image's place a folder, is refused and left as it is",
    needs: BUILD,
    run: output_is_no_place,
};

pub const NO_QEMU: Scenario =
    Scenario { name: "without QEMU or its firmware, run and verify say what to install", needs: BUILD, run: no_qemu };

fn disk_full(cairn: &Cairn) -> Result<()> {
    let hello = Hello::get(cairn)?;
    let folder = tempfile::tempdir()?;
    // The small file system is seen by this shell and its children only.
    let script =
        "mount -t tmpfs -o size=50m none \"$0\" && { \"$@\" -o \"$0\"; code=$?; ls -A \"$0\" >&2; exit $code; }";
    let namespace: &[&str] = if root() { &["unshare", "-m"] } else { &["unshare", "-rm"] };
    let there = folder.path().to_string_lossy();
    let words: Vec<&str> = namespace.iter().copied().chain(["sh", "-c", script, &there]).collect();
    let done = cairn.cmd(["build"]).arg(&hello.file).under(words).run()?;
    ensure!(matches!(done.status.code(), Some(1 | 3)), "{done}");
    ensure!(!done.stderr.contains("panicked") && !done.stderr.contains("hello.raw\n"), "{done}");
    Ok(())
}

fn output_is_no_place(cairn: &Cairn) -> Result<()> {
    let hello = Hello::get(cairn)?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("a-file");
    std::fs::write(&file, "mine")?;
    let taken = folder.path().join("taken");
    std::fs::create_dir_all(taken.join("hello.raw"))?;
    let device = folder.path().join("device");
    std::fs::create_dir(&device)?;
    std::os::unix::fs::symlink("/dev/null", device.join("hello.raw"))?;
    for out in [std::path::Path::new("/dev/null"), &file, &taken, &device] {
        let done = cairn.cmd(["build"]).arg(&hello.file).arg("-o").arg(out).run()?;
        ensure!(matches!(done.status.code(), Some(1..=3)), "{}: {done}", out.display());
        done.says(&out.to_string_lossy())?;
    }
    ensure!(std::fs::read(&file)? == b"mine", "the file has changed");
    ensure!(std::fs::read_dir(taken.join("hello.raw"))?.count() == 0, "something was put into the folder");
    Ok(())
}

fn no_qemu(cairn: &Cairn) -> Result<()> {
    let hello = Hello::get(cairn)?;
    let nothing = tempfile::tempdir()?;
    let against = ["verify", "--against"];
    for command in [cairn.cmd(["run"]).arg(&hello.raw), cairn.cmd(against).arg(&hello.file).arg(&hello.raw)] {
        let without = command.clone().env("PATH", nothing.path()).run()?;
        without.must(1)?.says("qemu-system-x86")?;
        let firmware =
            command.env("OVMF_CODE", "/nonexistent/code.fd").env("OVMF_VARS", "/nonexistent/vars.fd").run()?;
        firmware.must(1)?.says("ovmf")?;
    }
    Ok(())
}
