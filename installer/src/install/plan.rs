//! The plan of an installation as a value, and how it comes about. The same files and the same disk give the same plan.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use cairn_boot::ReadVolume;
use cairn_disk::Source;
use cairn_layout::onto::{AgainRoot, DiskThere, Mode, Onto, Wish};
use cairn_machine::model::FirmwareKind;
use cairn_make::machine_file::load;
use cairn_make::{Kit, NewDisk, Prepared, prepare_beside};
use cairn_observe::view::FatVolume;
use cairn_process::{Refusal, Report};
use cairn_root::Root;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::claim::{Fingerprint, open_to_look};
use super::describe::seen;
use super::firmware::Found;
use super::holders::{Release, affected, releases};
use super::identity::DiskIdentity;
use super::machine::{Computer, Texts, texts, with_partitions};
use super::{homes, members, renew, shared, windows};
use crate::disks::{Device, Kind, Stack, shows_partitions};
use crate::hardware::secure_boot;

/// The version of [`InstallPlan`]'s form.
const VERSION: u32 = 1;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The machine file.
    pub file: PathBuf,
    /// What becomes of the disk.
    pub asked: Asked,
    /// The disk will be started in another computer: neither the hardware nor the firmware of this one count.
    pub elsewhere: bool,
}

/// What becomes of the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// As it is said.
    Wish(Wish),
    /// The machine is made anew on its disk: what it boots from, its root and its swap; what else it has stays.
    Again,
    /// The same, but the root's file system stays: only the system in it is made anew.
    Renew,
}

/// The plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstallPlan {
    /// The version of this form; 1.
    pub version: u32,
    /// The machine file.
    pub file: PathBuf,
    /// What of its texts is other than on the disk.
    pub texts: Texts,
    /// The disk will be started in another computer.
    pub elsewhere: bool,
    /// The disk.
    pub disk: DiskIdentity,
    /// Its first and its last bytes.
    pub fingerprint: Fingerprint,
    /// What was wished for.
    pub wish: Wish,
    /// What becomes of it.
    pub onto: Onto,
    /// What the contents follow from, as one hash.
    pub key: String,
    /// What to know.
    pub notes: Vec<String>,
}

/// A plan with all that it takes to carry it out.
#[derive(Debug)]
pub struct Planned {
    /// The plan.
    pub plan: InstallPlan,
    /// What is to be taken apart first.
    pub releases: Vec<Release>,
    pub(super) machine: Prepared,
    pub(super) contents: NewDisk,
}

impl Planned {
    /// The modules that the machine's initrd has; nothing where it has the generic set.
    pub fn initrd_modules(&self) -> Option<Vec<String>> {
        self.machine.newest().checked.initrd_modules()
    }
}

/// Plans an installation onto a disk. Nothing is changed, but what is made of the machine file comes into the cache.
///
/// # Errors
/// All that is wrong, with its place in the machine file; refusals about the disk.
pub fn plan(
    request: &Request,
    devices: &[Device],
    disk: &Device,
    kit: &Kit,
    report: &dyn Report,
) -> anyhow::Result<Planned> {
    let file = fs::canonicalize(&request.file).with_context(|| format!("looking for {}", request.file.display()));
    // What is wrong with a file that is not there, its reader says best.
    let file = file.unwrap_or_else(|_| request.file.clone());
    let computer = if request.elsewhere { Computer::Unknown } else { Computer::This };
    let texts = texts(&file, computer)?;
    let source = open_to_look(disk)?;
    let seen = Seen::of(devices, disk, &source)?;
    make(&file, texts, request.elsewhere, &request.asked, &seen, Some((devices, disk)), kit, report)
}

/// The twin of a disk, and what is known of the computer that the disk is in.
#[derive(Debug)]
pub struct OfTwin<'d> {
    /// What the disk says of itself.
    pub identity: DiskIdentity,
    /// What is on it.
    pub there: DiskThere,
    /// The disk, or its twin, to be read.
    pub source: &'d dyn Source,
    /// The disks of that computer, this one among them; not where they do not count.
    pub around: Option<(&'d [Device], &'d Device)>,
    /// Its hardware file, for a machine that names none.
    pub hardware: Option<String>,
    /// The machine is the one that its files say, and gets neither a hardware file nor a seed of its own.
    pub as_it_is: bool,
    /// What starts it, where that is known.
    pub firmware: Option<FirmwareKind>,
    /// What is not as it is on the disk.
    pub notes: Vec<String>,
}

/// Plans an installation onto the twin of a disk, of which this is known: what uses the disk itself does not count.
///
/// # Errors
/// As [`plan`].
pub fn plan_for(request: &Request, twin: OfTwin<'_>, kit: &Kit, report: &dyn Report) -> anyhow::Result<Planned> {
    if let Some((devices, _)) = twin.around {
        twin.identity.find(devices).map_err(Refusal)?;
    }
    let of = match twin.hardware {
        _ if twin.as_it_is => Computer::Any,
        Some(text) => Computer::Recorded(text),
        None if request.elsewhere => Computer::Unknown,
        None => Computer::This,
    };
    if let Some(firmware) = twin.firmware {
        // Its lines are counted as they are in the file.
        starts(&load(&request.file)?, firmware != FirmwareKind::Bios, ("that computer is", ""))?;
    }
    let (texts, mut notes) = texts(&request.file, of)?;
    notes.extend(twin.notes);
    let seen = Seen { identity: twin.identity, there: twin.there, source: twin.source };
    let planned = make(&request.file, (texts, notes), true, &request.asked, &seen, twin.around, kit, report)?;
    if planned.plan.onto.renewed_root().is_some() {
        let why = "an installation into a root that stays cannot be rehearsed: what is in it is not on the twin";
        return Err(Refusal(why.into()).into());
    }
    if planned.machine.shared().is_some() {
        let why = "an installation that shares an EFI system partition cannot be rehearsed: what others have on it is not on the twin";
        return Err(Refusal(why.into()).into());
    }
    Ok(planned)
}

/// What is seen of the disk.
struct Seen<'d> {
    identity: DiskIdentity,
    there: DiskThere,
    source: &'d dyn Source,
}

impl<'d> Seen<'d> {
    fn of(devices: &[Device], disk: &Device, source: &'d dyn Source) -> anyhow::Result<Seen<'d>> {
        // Two ways to one disk, or two disks that say the same of themselves.
        let identity = DiskIdentity::of(disk);
        identity.find(devices).map_err(Refusal)?;
        Ok(Seen { identity, there: seen(devices, disk, source)?, source })
    }
}

/// Makes a plan once more, for carrying it out.
///
/// # Errors
/// As [`plan`]; a refusal where not the same comes out: the disk or the files have changed.
pub fn again(
    plan: &InstallPlan,
    devices: &[Device],
    disk: &Device,
    kit: &Kit,
    report: &dyn Report,
) -> anyhow::Result<Planned> {
    if plan.version != VERSION {
        return Err(Refusal(format!(
            "this plan has the form {}, and this program knows {VERSION}: plan again",
            plan.version
        ))
        .into());
    }
    let asked = Asked::Wish(plan.wish.clone());
    let source = open_to_look(disk)?;
    let seen = Seen::of(devices, disk, &source)?;
    let texts = (plan.texts.clone(), Vec::new());
    let planned = make(&plan.file, texts, plan.elsewhere, &asked, &seen, Some((devices, disk)), kit, report)?;
    let new = &planned.plan;
    let why = match () {
        () if new.fingerprint != plan.fingerprint || new.onto.there != plan.onto.there => {
            format!("{} is no longer as it was", new.disk)
        }
        () if new.key != plan.key => format!("{} or what it names has changed", plan.file.display()),
        () if new.onto != plan.onto => "another plan comes out today".to_string(),
        () => return Ok(planned),
    };
    Err(Refusal(format!("the plan no longer holds: {why}. Nothing was written; plan again")).into())
}

#[expect(clippy::too_many_arguments, reason = "what a plan follows from")]
fn make(
    file: &Path,
    (texts, mut notes): (Texts, Vec<String>),
    elsewhere: bool,
    asked: &Asked,
    seen: &Seen<'_>,
    around: Option<(&[Device], &Device)>,
    kit: &Kit,
    report: &dyn Report,
) -> anyhow::Result<Planned> {
    let there = &seen.there;
    let fingerprint = Fingerprint::of(seen.source).with_context(|| format!("reading {}", seen.identity.name))?;
    let checked = texts.of(file).load()?;
    if !elsewhere {
        let other = "; or, for another computer, install with --elsewhere";
        starts(&checked, Path::new("/sys/firmware/efi").exists(), ("this computer was", other))?;
        let enforced = Root::open(Path::new("/")).ok().and_then(|root| secure_boot(&root));
        check_secure_boot(&checked, enforced == Some(true))?;
    }
    let (name, layout) = checked.machine.root_disk().context("the machine has no disk")?;
    let ids = cairn_layout::identifiers(layout, cairn_layout::disk_seed(checked.seed(), name));
    let ids = ids.map_err(|e| cairn_make::problems::of_plan(&checked, name, e))?;
    let wish = match asked {
        Asked::Wish(wish) => wish.clone(),
        Asked::Again => Wish::again(&ids, there, AgainRoot::New).map_err(|e| Refusal(e.to_string()))?,
        Asked::Renew => Wish::again(&ids, there, AgainRoot::Kept).map_err(|e| Refusal(e.to_string()))?,
    };
    let id_of = |number: u32| there.partitions.iter().find(|one| one.number == number).and_then(|one| one.id);
    let kept: BTreeMap<String, Uuid> =
        wish.keep.iter().filter_map(|(name, number)| Some((name.clone(), id_of(*number)?))).collect();
    let texts = with_partitions(&texts, file, &checked, &kept)?;
    let esp = shared::kept(&wish, &ids, there);
    let volume = esp.map(|one| {
        let name = format!("partition {} of {}", one.number, seen.identity.name);
        FatVolume::new(seen.source, one.first.offset(there.sector), one.sectors.bytes(there.sector), &name)
    });
    let volume = volume.as_ref().map(|volume| volume as &dyn ReadVolume);
    let machine = prepare_beside(&[texts.of(file)], volume, kit, report)?;
    if let (Some(shared), Some(esp)) = (machine.shared(), esp) {
        notes.extend(shared::judge(shared, esp.number, &checked)?);
    }
    if !elsewhere && checked.machine.boot.nvram {
        let others = machine.shared().is_some_and(|it| it.other_fallback);
        match super::firmware::beforehand() {
            Some(why) if others => return Err(Refusal(format!("{why}. {}", Found::Others.fallback())).into()),
            Some(why) => notes.push(format!("{why}. It boots without one; {}", Found::Ours.fallback())),
            None => {}
        }
    }
    let contents = machine.plan_onto(there, &wish)?;
    let onto = contents.onto.clone().context("a plan without a disk")?;
    renew::judge(&onto, seen.source)?;
    if let Some(number) = onto.renewed_root() {
        notes.push(format!(
            "partition {number} keeps all but the system: what the machine has changed in /etc stays, too, and what was /etc/cairn there is \
             /etc/cairn.old then"
        ));
    }
    notes.extend(homes::lost(&onto, seen.source));
    notes.extend(windows::notes(&onto, seen.source));
    if checked.machine.boot.by_own_keys() {
        notes.push(
            "the machine draws its keys for Secure Boot when it has started for the first time, and is signed from the second start on; a \
             firmware in setup mode is given them then"
                .into(),
        );
    }
    let releases = around.map_or_else(|| Ok(Vec::new()), |(devices, disk)| judge(devices, disk, &onto))?;
    for release in &releases {
        notes.push(format!("{} is taken apart first", release.shown));
    }
    if contents.has_boot_code() && !onto.new_table && wish.mode == Mode::Free {
        notes.push("what a BIOS starts from this disk is GRUB of this machine from then on; what it started before needs an entry in its menu (`boot: entries:`)".into());
    }
    let plan = InstallPlan {
        version: VERSION,
        file: file.to_path_buf(),
        texts,
        elsewhere,
        disk: seen.identity.clone(),
        fingerprint,
        wish,
        onto,
        key: machine.contents().key(),
        notes,
    };
    Ok(Planned { plan, releases, machine, contents })
}

/// Refuses a machine that the firmware of a computer would not start.
fn starts(checked: &cairn_machine::Checked, uefi: bool, (this, other): (&str, &str)) -> anyhow::Result<()> {
    let Some((name, disk)) = checked.machine.root_disk() else { return Ok(()) };
    let firmware = disk.firmware(checked.machine.boot.loader);
    let (how, wanted) = match (uefi, firmware.uefi, firmware.bios) {
        (true, false, _) => ("started by UEFI", "`layout: uefi`, or `hybrid`"),
        (false, _, false) => ("not started by UEFI", "`layout: bios`, or `hybrid`, with `boot: {loader: grub}`"),
        _ => return Ok(()),
    };
    let message = format!("{this} {how}, and would not start the machine from this disk");
    let help = format!("take {wanted}{other}");
    Err(checked.problem(&format!("/disks/{name}"), message, Some(help)).into())
}

/// Refuses a machine that a firmware that enforces Secure Boot would not start, unless its file says so itself.
fn check_secure_boot(checked: &cairn_machine::Checked, enforced: bool) -> anyhow::Result<()> {
    if !enforced {
        return Ok(());
    }
    if checked.machine.boot.by_own_keys() {
        let message = "this computer starts only what its firmware knows (Secure Boot is on), and a new machine has no keys of its own yet: it \
                       draws them when it has started for the first time"
            .to_string();
        let help = "put the firmware into setup mode before (its setup may call that clearing or deleting the keys), or switch Secure Boot \
                    off; or write `secure_boot: shim`; or, for another computer, install with --elsewhere";
        return Err(checked.problem("/boot/secure_boot", message, Some(help.into())).into());
    }
    if checked.machine.boot.secure_boot.is_some() {
        return Ok(());
    }
    let message =
        "this computer starts only what is signed (Secure Boot is on), and would not start the machine".to_string();
    let help = "write `boot: {secure_boot: shim}`; or `secure_boot: none`, and switch Secure Boot off in the firmware's setup \
                before the machine is started; or, for another computer, install with --elsewhere";
    Err(checked.problem("/boot", message, Some(help.into())).into())
}

/// Holds a plan against everything else that there is; gives what is to be taken apart for it.
///
/// # Errors
/// A refusal: something is in use, or has parts on other disks, or the same machine is on another disk.
pub fn judge(devices: &[Device], disk: &Device, onto: &Onto) -> Result<Vec<Release>, Refusal> {
    if disk.kind == Kind::Multipath {
        let why = "is reached in several ways (multipath), from which a machine of Cairn's does not boot yet: choose another disk";
        return Err(Refusal(format!("{} {why}", disk.name)));
    }
    if disk.kind == Kind::Loop && !shows_partitions(disk) {
        let why = "shows a file without its partitions, so that nobody could look into them in the end: set it up with `losetup --partscan`";
        return Err(Refusal(format!("{} {why}", disk.name)));
    }
    same_elsewhere(devices, disk, onto)?;
    // What lies upon the parts that go has its own memberships: a volume group in what is unlocked.
    let parts: Vec<&Device> =
        affected(devices, disk, onto).into_iter().flat_map(|part| Stack(devices).whole(part)).collect();
    members::check(devices, disk, &parts)?;
    releases(devices, disk, onto)
}

/// Refuses identifiers that another disk of this computer has: which of the two is mounted would be chance.
fn same_elsewhere(devices: &[Device], disk: &Device, onto: &Onto) -> Result<(), Refusal> {
    let others = devices.iter().filter(|one| one.partition.as_ref().is_some_and(|p| p.disk != disk.name));
    for other in others {
        let id = other.partition.as_ref().and_then(|p| p.id.as_deref()).and_then(|id| Uuid::try_parse(id).ok());
        if onto.plan.partitions.iter().any(|one| Some(one.guid) == id) {
            return Err(Refusal(format!(
                "{} has a partition with the identifier that one of this installation would get: the same machine is on that disk. Take that \
                 disk out, or give one of the two a `seed` of its own",
                other.name
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use cairn_machine::{Checked, SourceFile, check};

    use super::*;

    #[test]
    fn a_computer_that_starts_only_what_is_signed_is_told_of_a_machine_that_is_not() {
        let of = |boot: &str| -> Checked {
            let text = format!(
                "version: 1\nhostname: m\nsource: {{debian: {{suite: trixie}}}}\ndisks: {{main: {{layout: uefi}}}}\nboot: {{{boot}}}\n"
            );
            check(&SourceFile::new("m.yaml", text), &mut |_| Err("none".into())).unwrap()
        };
        let told = check_secure_boot(&of("timeout: 1"), true).unwrap_err().to_string();
        assert!(told.contains("m.yaml:5:") && told.contains("secure_boot: shim"), "{told}");
        check_secure_boot(&of("timeout: 1"), false).unwrap();
        for said in ["secure_boot: shim", "secure_boot: none"] {
            check_secure_boot(&of(said), true).unwrap();
        }
        let own = of("secure_boot: {keys: own}");
        let told = check_secure_boot(&own, true).unwrap_err().to_string();
        assert!(told.contains("m.yaml:5:") && told.contains("setup mode"), "{told}");
        check_secure_boot(&own, false).unwrap();
    }
}
