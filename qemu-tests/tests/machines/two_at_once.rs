//! Two builds at once do not get into each other's way.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use qemu_tests::command::same_bytes;
use qemu_tests::hello::Hello;
use qemu_tests::scenario::BUILD;
use qemu_tests::{Cairn, Scenario};

pub const SCENARIO: Scenario = Scenario {
    name: "two builds at once, into one folder and of one new system, both give whole images",
    needs: BUILD,
    run,
};

fn run(cairn: &Cairn) -> Result<()> {
    let hello = Hello::get(cairn)?;
    let folder = tempfile::tempdir()?;
    // A host name that no other run has used: the system is not in the cache, so both make it.
    let name = format!("hello-{}", std::process::id());
    let file = hello.edited(folder.path(), |text| text.replace("hostname: hello", &format!("hostname: {name}")))?;
    let out = folder.path().join("out");
    let build = |to: &std::path::Path| cairn.cmd(["build", "--format", "raw"]).arg(&file).arg("-o").arg(to);
    let mut both = [build(&out).start()?, build(&out).start()?];
    for started in &mut both {
        let status = started.wait(Duration::from_secs(600))?.context("it does not end")?;
        // The second one may be told that the first one is at it.
        ensure!(matches!(status.code(), Some(0 | 3)), "{status}");
    }
    let alone = folder.path().join("alone");
    build(&alone).run()?.must(0)?;
    let image = format!("{name}.raw");
    same_bytes(&out.join(&image), &alone.join(&image))?;
    let left = std::fs::read_dir(&out)?.count();
    ensure!(left == 1, "{left} files instead of one in the output folder");
    Ok(())
}
