//! Other people's programs find nothing wrong with an image.

use anyhow::{Result, ensure};
use qemu_tests::disk::{ESP, ROOT, extract, find, partitions};
use qemu_tests::hello::Hello;
use qemu_tests::{Cairn, Cmd, Scenario};

pub const SCENARIO: Scenario = Scenario {
    name: "partition table, file systems and qcow2 satisfy the programs of others",
    needs: &["mmdebstrap", "sgdisk", "sfdisk", "fsck.fat", "e2fsck", "qemu-img"],
    run,
};

fn run(cairn: &Cairn) -> Result<()> {
    let hello = Hello::get(cairn)?;
    let table = Cmd::new("sgdisk").arg("-v").arg(&hello.raw).run()?;
    ensure!(table.must(0)?.stdout.contains("No problems found"), "{table}");
    let partitions = partitions(&hello.raw)?;
    let folder = tempfile::tempdir()?;
    let esp = folder.path().join("esp");
    extract(&hello.raw, find(&partitions, ESP)?, &esp)?;
    Cmd::new("fsck.fat").arg("-n").arg(&esp).run()?.must(0)?;
    let root = folder.path().join("root");
    extract(&hello.raw, find(&partitions, ROOT)?, &root)?;
    Cmd::new("e2fsck").arg("-fn").arg(&root).run()?.must(0)?;
    Cmd::new("qemu-img").arg("check").arg(&hello.qcow2).run()?.must(0)?;
    Cmd::new("qemu-img")
        .args(["compare", "-f", "raw", "-F", "qcow2"])
        .arg(&hello.raw)
        .arg(&hello.qcow2)
        .run()?
        .must(0)?;
    Ok(())
}
