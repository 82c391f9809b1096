//! The power fails while a machine is installed. Every write is recorded below the disk, disks are made as they may be after a cut, and
//! other people's programs say what is on them; then the installation is undone there, or made once more.

use std::path::{Path, PathBuf};
use std::{fmt, fs};

use anyhow::{Context, Result, bail, ensure};
use qemu_tests::command::same_bytes;
use qemu_tests::hello::Hello;
use qemu_tests::replay::cuts::{self, Cut, Moving};
use qemu_tests::replay::log::Log;
use qemu_tests::{Cairn, Cmd, Scenario, workbench};
use serde_json::Value;

const NEEDS: &[&str] = &["linux.uml", "cc", "sfdisk", "sgdisk", "blkid", "e2fsck", "fsck.fat", "mmdebstrap", "dmsetup"];

/// What takes too long for every day.
pub const REST: &[Scenario] = &[Scenario {
    name: "power cuts while a machine is installed onto a whole disk",
    needs: NEEDS,
    run: |cairn| Case::WHOLE.run(cairn),
}];
pub const BESIDE: Scenario = Scenario {
    name: "power cuts while a machine is installed beside another system",
    needs: NEEDS,
    run: |cairn| Case::BESIDE.run(cairn),
};

const MIB: u64 = 1 << 20;
const BYTES: u64 = 2048 * MIB;

/// What is there before: as Windows lays out a disk, with free space before the last partition; or a Linux system.
const WINDOWS: &str = "label: gpt
start=2048, size=65536, type=c12a7328-f81f-11d2-ba4b-00a0c93ec93b, name=\"EFI system partition\"
start=67584, size=32768, type=e3c9e316-0b5c-4db8-817d-f92df00215ae, attrs=\"GUID:63\"
start=100352, size=100001, type=ebd0a0a2-b9e5-4433-87c0-68b6b72699c7
start=4100096, size=90000, type=de94bba4-06d1-4d40-a16a-bfd50179d6ac, attrs=\"RequiredPartition GUID:63\"
";
const LINUX: &str = "label: gpt
start=2048, size=131072, type=linux
start=133120, size=131072, type=linux
";

struct Case {
    name: &'static str,
    before: &'static str,
    into: &'static str,
    /// Nothing that is there is lost.
    beside: bool,
}

/// An installation that was recorded.
struct Recorded<'c> {
    case: &'c Case,
    cairn: &'c Cairn,
    file: PathBuf,
    folder: tempfile::TempDir,
    log: Log,
    old: Table,
    new: Table,
    /// What `e2fsck` and `fsck.fat` have seen already.
    sound: std::cell::RefCell<std::collections::HashSet<u64>>,
}

/// A partition table, without what the file is called.
#[derive(Debug, Clone, PartialEq)]
struct Table(Value);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Nothing,
    Old,
    New,
}

/// How many of each kind were tried.
#[derive(Debug, Default)]
struct Figures {
    epochs: usize,
    states: usize,
    old: usize,
    nothing: usize,
    new: usize,
    undone: usize,
    refused: usize,
    again: usize,
}

impl fmt::Display for Figures {
    /// A row of the table in `docs/installing.md`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Figures { epochs, states, old, nothing, new, undone, refused, again } = self;
        write!(f, "{epochs} | {states} | {old} | {nothing} | {new} | {undone} | {refused} | {again}")
    }
}

impl Case {
    const WHOLE: Case = Case { name: "whole", before: LINUX, into: "whole", beside: false };
    const BESIDE: Case = Case { name: "beside", before: WINDOWS, into: "free", beside: true };

    fn run(&self, cairn: &Cairn) -> Result<()> {
        let long = std::env::var_os("CAIRN_WHOLE_TABLE").is_some();
        let recorded = self.record(cairn)?;
        let mut figures = Figures { epochs: cuts::epochs(&recorded.log).len(), ..Figures::default() };
        let all = cuts::choose(&recorded.log, if long { 12 } else { 3 }, 1);
        let state = recorded.path("state");
        let mut found = Vec::new();
        let mut moving = Moving::begin(&recorded.log, &recorded.path("before"), &state)?;
        for cut in &all {
            moving.to(cut)?;
            let is = recorded.judge(cut, &state).with_context(|| format!("{}: a bad state: {cut:?}", self.name))?;
            match is {
                Found::Nothing => figures.nothing += 1,
                Found::Old => figures.old += 1,
                Found::New => figures.new += 1,
            }
            figures.states += 1;
            found.push((*cut, is));
        }
        fs::remove_file(&state)?;
        let (first, rest): (Vec<_>, Vec<_>) = found.into_iter().partition(|(cut, _)| recorded.is_before_data(cut));
        let chosen = |list: &[(Cut, Found)], count: usize| -> Vec<(Cut, Found)> {
            let count = count.min(list.len());
            (0..count).map(|n| list[(2 * n + 1) * list.len() / (2 * count)]).collect()
        };
        let (early, late) = if long { (16, 16) } else { (1, 1) };
        let undone = [chosen(&first, early), chosen(&rest, late)].concat();
        for some in undone.chunks(4) {
            recorded.undo(some, &mut figures)?;
        }
        let (early, late) = if long { (8, 24) } else { (0, 1) };
        for some in [chosen(&first, early), chosen(&rest, late)].concat().chunks(4) {
            recorded.again(some, &mut figures)?;
        }
        println!("| {} | {figures} |", self.name);
        ensure!(figures.states >= 30 && figures.undone > 0 && figures.again > 0, "{figures}");
        ensure!(figures.new > 0 && figures.old > 0, "{figures}");
        Ok(())
    }

    fn record<'c>(&'c self, cairn: &'c Cairn) -> Result<Recorded<'c>> {
        let hello = Hello::get(cairn)?;
        let folder = tempfile::tempdir_in(&cairn.work)?;
        let path = |name: &str| folder.path().join(name);
        let file = hello.small(&path("machine"))?;
        workbench::disk(&path("disk"), BYTES)?;
        Cmd::new("sh").args(["-c", &format!("sfdisk -q \"$0\" <<'EOF'\n{}EOF", self.before)]).arg(path("disk")).ok()?;
        let old = Table::of(&path("disk"))?.context("sfdisk wrote no table")?;
        for (number, (at, len)) in (1_u32..).zip(old.places()?) {
            if self.beside {
                fill(&path("disk"), at, len, number)?;
            } else {
                ext4(&path("disk"), at, len)?;
            }
        }
        Cmd::new("cp").arg("--sparse=always").args([path("disk"), path("before")]).ok()?;
        workbench::disk(&path("log"), 4096 * MIB)?;
        let script = format!(
            "modprobe -a dm-mod dm-log-writes
             dmsetup create recorded --table \"0 $(blockdev --getsz /dev/ubda) log-writes /dev/ubda /dev/ubdb\"
             sd /dev/dm-0
             $CAIRN install {} --disk /dev/sda --elsewhere --into {} --yes-erase {BYTES} --receipt {}
             unplug sda
             dmsetup message recorded 0 mark end
             sleep 1",
            file.display(),
            self.into,
            path("receipt").display()
        );
        // What is not flushed waits in memory.
        workbench::script_with("2000M", cairn, &[&path("disk"), &path("log")], &script)?;
        let log = cuts::read(&path("log"), BYTES)?;
        fs::remove_file(path("log"))?;
        Cut::at_the_end_of(&log).make(&log, &path("before"), &path("replayed"))?;
        same_bytes(&path("replayed"), &path("disk")).context("the log does not tell all")?;
        let new = Table::of(&path("disk"))?.context("there is no new table")?;
        fs::remove_file(path("disk"))?;
        fs::remove_file(path("replayed"))?;
        Ok(Recorded { case: self, cairn, file, folder, log, old, new, sound: std::cell::RefCell::default() })
    }
}

impl Recorded<'_> {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Nothing but what the receipt has was overwritten, and the receipt does not say otherwise yet.
    fn is_before_data(&self, cut: &Cut) -> bool {
        cuts::epochs(&self.log).get(1).is_some_and(|second| cut.done <= *second)
    }

    /// The partitions that the installation makes: those that the old table has not.
    fn made(&self) -> Result<Vec<(u64, u64)>> {
        let old = if self.case.beside { self.old.places()? } else { Vec::new() };
        Ok(self.new.places()?.into_iter().filter(|place| !old.contains(place)).collect())
    }

    /// What a disk is after a cut. An error: what it must not be.
    fn judge(&self, cut: &Cut, state: &Path) -> Result<Found> {
        let found = match Table::of(state)? {
            None => Found::Nothing,
            Some(table) if table == self.old => Found::Old,
            Some(table) if table == self.new => Found::New,
            Some(table) => bail!("it has a partition table that nobody made: {table:?}"),
        };
        ensure!(!self.case.beside || found != Found::Nothing, "the other system's partition table is gone");
        match found {
            Found::Nothing => {
                let whole = signature(state, 0, BYTES)?;
                ensure!(whole.is_none(), "without a table, it is found to be {whole:?}");
            }
            // As it was, or so that nobody takes it for what it was.
            Found::Old => {
                for (at, len) in self.old.places()? {
                    let same = self.same(state, at, len).is_ok();
                    let kind = signature(state, at, len)?;
                    ensure!(same || kind.is_none() && !self.case.beside, "{kind:?} at {at} is found, and is not whole");
                }
            }
            Found::New => {
                if self.case.beside {
                    self.old.places()?.into_iter().try_for_each(|(at, len)| self.same(state, at, len))?;
                }
                for (at, len) in self.made()? {
                    if self.sound.borrow_mut().insert(cut.print_of(&self.log, at, len)) {
                        sound(state, at, len, &self.path("part"))?;
                    }
                }
            }
        }
        Ok(found)
    }

    /// That a piece is as it was before.
    fn same(&self, state: &Path, at: u64, len: u64) -> Result<()> {
        let cmp = Cmd::new("cmp").arg(format!("--ignore-initial={at}")).arg(format!("--bytes={len}"));
        cmp.arg(self.path("before")).arg(state).ok().map(drop)
    }

    /// Makes disks for a script: one for each cut.
    fn disks(&self, cuts: &[(Cut, Found)]) -> Result<Vec<PathBuf>> {
        let make = |(n, (cut, _)): (usize, &(Cut, Found))| {
            let path = self.path(&format!("disk{n}"));
            cut.make(&self.log, &self.path("before"), &path)?;
            Ok(path)
        };
        cuts.iter().enumerate().map(make).collect()
    }

    /// Runs something on each of these disks, which is /dev/sda then.
    fn on_each(&self, disks: &[PathBuf], script: &dyn Fn(usize) -> String) -> Result<String> {
        workbench::on_each(self.cairn, disks, "", script)
    }

    /// Undoes the installation on disks as they are after cuts.
    fn undo(&self, cuts: &[(Cut, Found)], figures: &mut Figures) -> Result<()> {
        let disks = self.disks(cuts)?;
        let whole = fs::read(self.path("receipt"))?;
        let before = |text: &[u8]| {
            let at = whole.windows(text.len()).rposition(|window| window == text);
            at.context("the receipt says too little")
        };
        // As they were at these moments: with nothing noted, and with the word that contents are written.
        let (first, second) = (before(b"\"data\"\n")?, before(b"{\"done\":")?);
        let may_be_undone = |cut: &Cut| self.case.beside || self.is_before_data(cut);
        for (n, (cut, _)) in cuts.iter().enumerate() {
            let len = if self.is_before_data(cut) { first } else { second };
            fs::write(self.path(&format!("receipt{n}")), &whole[..len])?;
        }
        let script = |n: usize| {
            let undo = format!("$CAIRN install --undo {}", self.path(&format!("receipt{n}")).display());
            if may_be_undone(&cuts[n].0) { undo } else { format!("exits 3 'cannot be brought back' {undo}") }
        };
        let said = self.on_each(&disks, &script)?;
        let receipt: Value = serde_json::from_slice(whole.split(|byte| *byte == b'\n').next().unwrap_or_default())?;
        let pieces = receipt["pieces"].as_array().context("no pieces")?;
        for (disk, (cut, _)) in disks.iter().zip(cuts) {
            let brought_back = || -> Result<()> {
                if self.is_before_data(cut) {
                    return same_bytes(&self.path("before"), disk);
                }
                for piece in pieces {
                    let number = |n: usize| piece[n].as_u64().context("a piece that is no pair");
                    self.same(disk, number(0)?, number(1)?)?;
                }
                self.old.places()?.into_iter().try_for_each(|(at, len)| self.same(disk, at, len))?;
                ensure!(Table::of(disk)?.as_ref() == Some(&self.old), "the table is not as it was");
                Ok(())
            };
            if may_be_undone(cut) {
                brought_back().with_context(|| format!("after {cut:?} and --undo:\n{said}"))?;
                figures.undone += 1;
            } else {
                figures.refused += 1;
            }
            fs::remove_file(disk)?;
        }
        Ok(())
    }

    /// Installs once more on disks as they are after cuts.
    fn again(&self, cuts: &[(Cut, Found)], figures: &mut Figures) -> Result<()> {
        let disks = self.disks(cuts)?;
        let script = |n: usize| {
            // Where all of it is there already, the place for it is taken; and which of two ESPs is the machine's, has to be said.
            let there = self.case.beside && cuts[n].1 == Found::New;
            let into = if there { "free --replace esp=5 --replace root=6" } else { self.case.into };
            let file = self.file.display();
            format!(
                "$CAIRN install {file} --disk /dev/sda --elsewhere --into {into} --yes-erase {BYTES} --receipt /run/{n}"
            )
        };
        let said = self.on_each(&disks, &script)?;
        for (disk, (cut, _)) in disks.iter().zip(cuts) {
            let complete = || -> Result<()> {
                let verified = Cmd::new("sgdisk").arg("-v").arg(disk).ok()?;
                ensure!(verified.contains("No problems found"), "{verified}");
                if self.case.beside {
                    self.old.places()?.into_iter().try_for_each(|(at, len)| self.same(disk, at, len))?;
                }
                self.made()?.into_iter().try_for_each(|(at, len)| sound(disk, at, len, &self.path("part")))
            };
            complete().with_context(|| format!("after {cut:?} and another installation:\n{said}"))?;
            figures.again += 1;
            fs::remove_file(disk)?;
        }
        Ok(())
    }
}

impl Table {
    /// The table that sfdisk finds.
    fn of(disk: &Path) -> Result<Option<Table>> {
        let done = Cmd::new("sfdisk").arg("-J").arg(disk).run()?;
        if done.status.code() != Some(0) {
            ensure!(done.stderr.contains("recognized partition table"), "{done}");
            return Ok(None);
        }
        let mut table: Value = serde_json::from_str(&done.stdout).context("reading sfdisk's answer")?;
        let mut table = table["partitiontable"].take();
        table["device"].take();
        let partitions = table["partitions"].as_array_mut().map(Vec::as_mut_slice).unwrap_or_default();
        partitions.iter_mut().for_each(|one| drop(one["node"].take()));
        // What only keeps others away names nothing.
        let empty = partitions.is_empty() || table["label"] == "dos";
        Ok((!empty).then_some(Table(table)))
    }

    /// Where its partitions lie, in bytes.
    fn places(&self) -> Result<Vec<(u64, u64)>> {
        let number = |one: &Value, key: &str| one[key].as_u64().map(|n| n * 512).context("a partition without a place");
        let partitions = self.0["partitions"].as_array().context("no partitions")?;
        partitions.iter().map(|one| Ok((number(one, "start")?, number(one, "size")?))).collect()
    }
}

/// What blkid finds in a piece of a disk: exactly one thing, or nothing.
fn signature(disk: &Path, at: u64, len: u64) -> Result<Option<String>> {
    let blkid = Cmd::new("blkid").args(["-p", "-s", "TYPE", "-o", "value", "--offset"]).arg(at.to_string());
    let done = blkid.arg("--size").arg(len.to_string()).arg(disk).run()?;
    match done.status.code() {
        Some(0) => Ok(Some(done.stdout.trim().to_string()).filter(|kind| !kind.is_empty())),
        Some(2) => Ok(None),
        _ => bail!("{done}"),
    }
}

/// A file system that its own people find nothing wrong with.
fn sound(disk: &Path, at: u64, len: u64, part: &Path) -> Result<()> {
    let kind = signature(disk, at, len)?;
    let check = match kind.as_deref() {
        Some("ext4") => {
            Cmd::new("e2fsck").args(["-f", "-n"]).arg(format!("{}?offset={at}", disk.display())).ok()?;
            return Ok(());
        }
        Some("vfat") => Cmd::new("fsck.fat").arg("-n").arg(part),
        other => bail!("{other:?} in the new partition at {at}"),
    };
    let partition = qemu_tests::disk::Partition { start: at, size: len, kind: String::new(), name: String::new() };
    qemu_tests::disk::extract(disk, &partition, part)?;
    check.ok()?;
    Ok(fs::remove_file(part)?)
}

/// Bytes that say nothing to anybody, other ones for each number.
fn fill(disk: &Path, at: u64, len: u64, number: u32) -> Result<()> {
    let script = "openssl enc -aes-128-ctr -K 0$1 -iv 00 -nosalt </dev/zero 2>/dev/null |
        dd of=\"$0\" bs=64K iflag=fullblock,count_bytes oflag=seek_bytes count=$3 seek=$2 conv=notrunc status=none";
    let words = [number.to_string(), at.to_string(), len.to_string()];
    Cmd::new("sh").args(["-c", script]).arg(disk).args(words).ok().map(drop)
}

/// A file system, and something in its last bytes too.
fn ext4(disk: &Path, at: u64, len: u64) -> Result<()> {
    let option = format!("offset={at}");
    let mkfs = Cmd::new("mkfs.ext4").args(["-q", "-F", "-b", "4096", "-E", &option]).arg(disk);
    mkfs.arg((len / 4096).to_string()).ok()?;
    fill(disk, at + len - MIB, MIB, 9)
}
