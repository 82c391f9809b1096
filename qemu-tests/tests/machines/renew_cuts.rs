//! The power fails while a machine is made anew in the root that it has. Every write is recorded below the disk, disks are made as they
//! may be after a cut, and a kernel mounts them: what people have in that root is there each time, and the store is the old one or the
//! new one, whole.

use std::path::PathBuf;
use std::{fmt, fs};

use anyhow::{Context, Result, ensure};
use qemu_tests::command::same_bytes;
use qemu_tests::hello::Hello;
use qemu_tests::replay::cuts::{self, Cut};
use qemu_tests::replay::log::Log;
use qemu_tests::{Cairn, Cmd, Scenario, workbench};

const NEEDS: &[&str] = &["linux.uml", "cc", "blkid", "e2fsck", "fsck.fat", "mmdebstrap", "dmsetup"];

/// It takes too long for every day.
pub const REST: Scenario =
    Scenario { name: "power cuts while a machine is made anew in the root that it has", needs: NEEDS, run };

const BYTES: u64 = 3 << 30;
/// How many disks are looked at, and on how many it is done once more.
const STATES: usize = 32;
const AGAIN: usize = 8;

/// What is to be had of a disk that is /dev/sda: what people have, the store, both as prints; and whether the boot partition is found.
const PRINTS: &str = r#"
mkdir -p /mnt/x
prints() {
    until [ -b /dev/sda2 ]; do sleep 0.1; done
    mount /dev/sda2 /mnt/x
    (cd /mnt/x; ls -d .nix.new 2>/dev/null || true)
    echo "$1 data $(cd /mnt/x; cat home/somebody/file data/file var/lib/own/state | sha256sum)"
    echo "$1 store $(cd /mnt/x/nix; (find . -printf '%P %y %m %U %G %l\n' | sort; find . -type f -print0 | sort -z | xargs -0 sha256sum) | sha256sum)"
    umount /mnt/x
    e2fsck -fn /dev/sda2
    [ -z "$(blkid -p -s TYPE -o value /dev/sda1)" ] || fsck.fat -n /dev/sda1
    echo "$1 boot $(sha256sum </dev/sda1)"
    echo "$1 table $(head -c 1M /dev/sda | sha256sum)"
}
"#;

/// What a disk has: its four prints.
#[derive(Debug, Clone, PartialEq)]
struct Prints {
    data: String,
    store: String,
    boot: String,
    table: String,
}

#[derive(Debug, Default)]
struct Figures {
    epochs: usize,
    states: usize,
    /// The old machine starts, as nothing has happened.
    old: usize,
    /// It is complete, and starts.
    new: usize,
    /// Whole, and to be finished before it starts.
    between: usize,
    again: usize,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Figures { epochs, states, old, new, between, again } = self;
        write!(
            f,
            "{epochs} epochs, {states} states: {old} start as before, {new} anew, {between} once finished; {again} finished"
        )
    }
}

struct Recorded<'c> {
    cairn: &'c Cairn,
    folder: tempfile::TempDir,
    install: String,
    log: Log,
}

fn run(cairn: &Cairn) -> Result<()> {
    let recorded = Recorded::new(cairn)?;
    let mut figures = Figures { epochs: cuts::epochs(&recorded.log).len(), ..Figures::default() };
    let all = cuts::choose(&recorded.log, 12, 1);
    let spread = |count: usize| (0..count).map(|n| all[(2 * n + 1) * all.len() / (2 * count)]).collect::<Vec<Cut>>();
    let (old, new) = (recorded.of("before")?, recorded.of("after")?);
    ensure!(old.store != new.store && old.data == new.data && old.boot != new.boot, "{old:?}\n{new:?}");
    for some in spread(STATES).chunks(4) {
        for (cut, is) in some.iter().zip(recorded.prints(some, &|n| format!("prints {n}"))?) {
            let bad = || format!("{cut:?}: {is:?}, but {old:?} and {new:?}");
            ensure!(is.data == old.data, "{}", bad());
            ensure!(is.table == old.table || is.table == new.table, "{}", bad());
            ensure!(is.store == old.store || is.store == new.store, "{}", bad());
            figures.states += 1;
            match (is.store == old.store, is.boot == old.boot, is.boot == new.boot) {
                (true, true, _) => figures.old += 1,
                (false, _, true) => figures.new += 1,
                _ => figures.between += 1,
            }
        }
    }
    for some in spread(AGAIN).chunks(4) {
        let script = |n: usize| format!("{} --receipt /run/{n}; prints {n}", recorded.install);
        for (cut, is) in some.iter().zip(recorded.prints(some, &script)?) {
            let same = is.data == old.data && is.store == new.store && is.table == new.table;
            ensure!(same, "{cut:?}, and again: {is:?}, but {new:?}");
            figures.again += 1;
        }
    }
    println!("{figures}");
    ensure!(figures.old > 0 && figures.new > 0, "{figures}");
    Ok(())
}

impl Recorded<'_> {
    fn new(cairn: &Cairn) -> Result<Recorded<'_>> {
        let hello = Hello::get(cairn)?;
        let folder = tempfile::tempdir_in(&cairn.work)?;
        let path = |name: &str| folder.path().join(name);
        let (first, file) = (hello.small(&path("first"))?, path("renewed"));
        let file = hello.edited(&file, |text| {
            // With a seed of its own it is the same machine each time that it is installed.
            let name = "hostname: renewed\nseed: 8d0c1f3e-6a5b-4c2d-9e7f-0a1b2c3d4e5f";
            text.replace("free: 1G", "free: 64M").replace("hostname: hello", name)
        })?;
        workbench::disk(&path("after"), BYTES)?;
        let script = format!(
            "sd /dev/ubda
             $CAIRN install {} --disk /dev/sda --elsewhere --yes-erase {BYTES} --receipt /run/r1
             # As at its first start.
             e2fsck -fp /dev/sda2; resize2fs /dev/sda2
             mkdir /mnt/x; mount /dev/sda2 /mnt/x
             mkdir -p /mnt/x/home/somebody /mnt/x/var/lib/own /mnt/x/data
             head -c 3M /dev/urandom >/mnt/x/home/somebody/file
             echo state >/mnt/x/var/lib/own/state; echo mine >/mnt/x/data/file
             umount /mnt/x
             unplug sda",
            first.display()
        );
        workbench::script(cairn, &[&path("after")], &script)?;
        Cmd::new("cp").arg("--sparse=always").args([path("after"), path("before")]).ok()?;
        workbench::disk(&path("log"), 4 << 30)?;
        let install =
            format!("$CAIRN install {} --disk /dev/sda --elsewhere --into renew --yes-erase {BYTES}", file.display());
        let script = format!(
            "modprobe -a dm-mod dm-log-writes
             partx -d /dev/ubda
             dmsetup create recorded --table \"0 $(blockdev --getsz /dev/ubda) log-writes /dev/ubda /dev/ubdb\"
             sd /dev/dm-0
             {install} --receipt /run/r2
             unplug sda
             dmsetup message recorded 0 mark end
             sleep 1"
        );
        // What is not flushed waits in memory.
        workbench::script_with("2000M", cairn, &[&path("after"), &path("log")], &script)?;
        let log = cuts::read(&path("log"), BYTES)?;
        fs::remove_file(path("log"))?;
        Cut::at_the_end_of(&log).make(&log, &path("before"), &path("replayed"))?;
        same_bytes(&path("replayed"), &path("after")).context("the log does not tell all")?;
        fs::remove_file(path("replayed"))?;
        Ok(Recorded { cairn, install, log, folder })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The prints of one of the two disks at the ends.
    fn of(&self, name: &str) -> Result<Prints> {
        let copy = self.path("copy");
        Cmd::new("cp").arg("--sparse=always").args([&self.path(name), &copy]).ok()?;
        let said = self.on_each(&[copy], &|n| format!("prints {n}"))?;
        Prints::read(&said, 0)
    }

    /// The prints of disks as they are after cuts, once a script was run on each.
    fn prints(&self, cuts: &[Cut], script: &dyn Fn(usize) -> String) -> Result<Vec<Prints>> {
        let make = |(n, cut): (usize, &Cut)| {
            let path = self.path(&format!("disk{n}"));
            cut.make(&self.log, &self.path("before"), &path)?;
            Ok(path)
        };
        let disks: Vec<PathBuf> = cuts.iter().enumerate().map(make).collect::<Result<_>>()?;
        let said = self.on_each(&disks, script).with_context(|| format!("after {cuts:?}"))?;
        disks.iter().try_for_each(fs::remove_file)?;
        (0..cuts.len()).map(|n| Prints::read(&said, n)).collect()
    }

    /// Runs something on each of these disks, which is /dev/sda then.
    fn on_each(&self, disks: &[PathBuf], script: &dyn Fn(usize) -> String) -> Result<String> {
        workbench::on_each(self.cairn, disks, PRINTS, script)
    }
}

impl Prints {
    fn read(said: &str, number: usize) -> Result<Prints> {
        let of = |what: &str| {
            let begin = format!("{number} {what} ");
            let line = said.lines().find_map(|line| line.strip_prefix(&begin));
            Ok::<String, anyhow::Error>(line.with_context(|| format!("no {begin}in:\n{said}"))?.to_string())
        };
        Ok(Prints { data: of("data")?, store: of("store")?, boot: of("boot")?, table: of("table")? })
    }
}
