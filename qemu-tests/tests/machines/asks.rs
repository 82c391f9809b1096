//! `cairn install` without a machine file asks a person. Nothing is on the disks before all is answered and one of them was named.

use std::fs;

use anyhow::{Context, Result, ensure};
use qemu_tests::scenario::UML;
use qemu_tests::{Cairn, Cmd, Scenario, workbench};

pub const SCENARIO: Scenario =
    Scenario { name: "who says no machine file is asked, and no disk changes before one is named", needs: UML, run };

/// What is typed: wrong things, a step back and an explanation on the way. Without a network all of it is answered for nothing.
const TYPED: &str = "deutsch
9
<
de_DE
?
de
berlin
1
1
2
My Computer
web-1
Anna
anna
secret
other
secret
secret
no key

<
nowhere
";

fn run(cairn: &Cairn) -> Result<()> {
    let folder = tempfile::tempdir_in(&cairn.work)?;
    let path = |name: &str| folder.path().join(name);
    for name in ["first", "second"] {
        workbench::disk(&path(name), 1 << 30)?;
        Cmd::new("mkfs.ext4").args(["-q", "-F", "-L", name]).arg(path(name)).ok()?;
    }
    fs::write(path("typed"), TYPED)?;
    let before = |name: &str| Cmd::new("sha256sum").arg(path(name)).ok();
    let hashes = (before("first")?, before("second")?);
    let (typed, kept) = (path("typed"), path("kept"));
    let script = format!(
        "mkdir -p /dev/pts; mount -t devpts devpts /dev/pts
         mkdir -p /var/lib/cairn {kept}; mount --bind {kept} /var/lib/cairn
         exits 2 'at a terminal' $CAIRN install --elsewhere </dev/null
         exits 2 'leave it out' script -qec \"$CAIRN install --elsewhere --into free\" /dev/null </dev/null
         # A terminal, at which the rest is never typed.
         exits 3 'nobody answers any more: nothing was written to any disk' \\
            script -qec \"$CAIRN install --elsewhere --plain\" /dev/null <{typed}
         $CAIRN check {kept}/machines/web-1/machine.yaml",
        kept = kept.display(),
        typed = typed.display(),
    );
    let said = workbench::script(cairn, &[&path("first"), &path("second")], &script)?;
    for words in [
        "1 of 10  The language of the machine",
        "German (de)",
        "The layout of the machine's text consoles",
        "`My Computer` is not a host name",
        "`Anna` is not a name for a user",
        "the two are not the same",
        "this is not an SSH public key",
        "This cannot be done",
        "`nowhere` is none of them",
        "ubdb, 1G, holds ext4",
    ] {
        ensure!(said.contains(words), "it does not say {words}:\n{said}");
    }
    ensure!((before("first")?, before("second")?) == hashes, "a disk has changed:\n{said}");
    let file = fs::read_to_string(kept.join("machines/web-1/machine.yaml")).context("no answers were kept")?;
    for line in
        ["hostname: \"web-1\"", "lang: \"de_DE.UTF-8\"", "layout: de", "Europe/Berlin", "type: swap", "  into: whole"]
    {
        ensure!(file.contains(line), "no {line}:\n{file}");
    }
    let password = kept.join("machines/web-1/anna.password");
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&password)?.permissions());
    ensure!(mode & 0o777 == 0o600 && fs::read_to_string(&password)?.starts_with("$6$"), "the password's hash is open");
    Ok(())
}
