//! `cairn verify`: a machine is booted unattended, asked from the inside what it is, switched off, and booted again.
//!
//! The image is not touched: what the machine writes goes into an overlay without a name. The questions come from
//! outside, so the image needs to know nothing of them. Only positive words from inside count: silence, a crash, and a
//! machine that switches itself off are failures.

mod answer;
mod cards;
mod check;
mod expected;
mod output;
mod own_file;
mod script;
mod session;
mod topics;

use std::path::{Path, PathBuf};
use std::time::Duration;

use cairn_process::Report;

pub use check::{Check, Stage, VerifyResult};
pub use expected::{Content, Expected, ExpectedFile};
pub use own_file::expected as expected_of_image;

use crate::console;
use crate::probe;
use crate::qemu::{Accel, Controller, Drive, FirmwareKind, MadeFor, Own, QemuError, Says, check_tools};
use crate::scratch::Scratch;
use crate::screenshot;
use cairn_disk::image::{Format, ImageFile};
use session::{End, Hardware, Session};
use topics::Boot;

/// How large the other disk is.
const ANOTHER: u64 = 1 << 30;

/// How the machine is made.
#[derive(Debug, Clone)]
pub struct VerifyOptions {
    /// Memory in MiB.
    pub memory: u64,
    /// Processors.
    pub cpus: u32,
    /// What the disk hangs on.
    pub controller: Controller,
    /// How long one boot may take until its last answer.
    pub deadline: Duration,
    /// Where a picture of the login prompt goes, as PNG.
    pub screenshot: Option<PathBuf>,
    /// Where the whole text of the serial console goes, both boots.
    pub console_log: Option<PathBuf>,
    /// Give the machine a disk of this many bytes, larger than the image: the root must grow into it.
    pub disk_size: Option<u64>,
    /// Boot a second time.
    pub second_boot: bool,
    /// What starts it. Without one, what the image is made for.
    pub firmware: Option<FirmwareKind>,
    /// At the second boot there is another disk, which is empty: the kernel meets it first, and so does UEFI. A BIOS starts its
    /// first disk or nothing, so to a BIOS it is the second.
    pub another_disk: bool,
    /// What runs the guest. Without one, KVM where a probe guest has run in it, else emulation.
    pub accel: Option<Accel>,
}

impl Default for VerifyOptions {
    fn default() -> VerifyOptions {
        VerifyOptions {
            memory: 1024,
            cpus: 2,
            controller: Controller::default(),
            deadline: Duration::from_secs(900),
            screenshot: None,
            console_log: None,
            disk_size: None,
            second_boot: true,
            firmware: None,
            another_disk: false,
            accel: None,
        }
    }
}

/// Boots the image twice and checks it from the inside.
///
/// # Errors
/// When the checks cannot be made: no image, no QEMU, no firmware. A machine that does not boot is a result, not an
/// error.
pub fn verify(
    image: &Path,
    expected: &Expected,
    options: &VerifyOptions,
    report: &dyn Report,
) -> Result<VerifyResult, QemuError> {
    let image = ImageFile::open(image)?;
    check_tools()?;
    let mut made_for = MadeFor::of(&*image.source()?);
    made_for.firmware = options.firmware.unwrap_or(made_for.firmware);
    // Under a BIOS nobody asks who has signed what.
    let expected =
        &Expected { secure_boot: expected.secure_boot && made_for.firmware == FirmwareKind::Uefi, ..expected.clone() };
    // Missing firmware is said before the probe.
    Own::of(made_for.firmware, expected.secure_boot)?;
    let accel = options.accel.unwrap_or_else(|| probe::accel(report));
    match attempt(&image, expected, options, made_for, accel, report)? {
        Some(result) => Ok(result),
        // The probe ran in KVM and this machine did not: remember that, and begin again without it.
        None => {
            probe::kvm_failed();
            report.note("KVM stopped in the middle of the machine: once more, emulated");
            let again = attempt(&image, expected, options, made_for, Accel::Tcg, report)?;
            again.ok_or_else(|| QemuError::Control {
                command: "cont".into(),
                answer: "the emulator stands still".into(),
            })
        }
    }
}

/// Both boots under one accelerator; `None` when that gave up.
fn attempt(
    image: &ImageFile,
    expected: &Expected,
    options: &VerifyOptions,
    made_for: MadeFor,
    accel: Accel,
    report: &dyn Report,
) -> Result<Option<VerifyResult>, QemuError> {
    let size = options.disk_size.unwrap_or_default().max(image.size);
    let overlay = Scratch::overlay(size)?;
    let own = Own::of(made_for.firmware, expected.secure_boot)?;
    let another = if options.another_disk { Some(Scratch::overlay(ANOTHER)?) } else { None };
    let mut hardware = Hardware {
        accel,
        firmware: own.firmware.clone(),
        memory: options.memory,
        cpus: options.cpus,
        disks: vec![Drive {
            path: image.path_for_children(),
            format: image.format,
            device: image.device,
            overlay: Some(overlay.path()),
            controller: options.controller,
            sector_size: made_for.sector_size,
            says: Says::default(),
            boot: 0,
            unsafe_cache: true,
        }],
        image: image.path.clone(),
        cards: expected.network.as_ref().map(cards::cards).unwrap_or_default(),
        deadline: options.deadline,
    };
    let mut checks = Vec::new();
    let mut stages = Vec::new();
    let mut consoles = Vec::new();
    let mut picture = None;
    let mut answers_before = None;
    for boot in [Boot::First, Boot::Second] {
        if boot == Boot::Second && (!options.second_boot || checks.iter().any(failed_boot)) {
            break;
        }
        if let Some(another) = another.as_ref().filter(|_| boot == Boot::Second) {
            hardware.disks = with_another(&hardware.disks[0], another.path(), made_for.firmware);
        }
        let name = if boot == Boot::First { "first boot" } else { "second boot" };
        report.phase(name, None);
        let serial = expected.kernel_parameters.iter().any(|p| p.starts_with("console=ttyS0"));
        let session = Session {
            questions: topics::questions(expected, boot),
            boot,
            serial,
            picture: options.screenshot.is_some(),
        };
        let record = session.run(&hardware, report)?;
        if record.end == End::AcceleratorGaveUp {
            return Ok(None);
        }
        checks.extend(record.checks(name, options.deadline));
        checks.extend(topics::judge(expected, &record.answers, boot));
        let told = topics::stages(&record.answers, boot);
        if let Some(seconds) = record.kernel_at
            && told.iter().all(|s| s.name != "firmware")
        {
            // The loader could not tell the machine its times; seen from outside.
            let seconds = (seconds * 10.0).round() / 10.0;
            stages.push(Stage { boot: boot.number(), name: "firmware and loader".into(), seconds });
        }
        stages.extend(told);
        stages.push(Stage {
            boot: boot.number(),
            name: "total".into(),
            seconds: (record.seconds * 1000.0).round() / 1000.0,
        });
        picture = picture.or(record.picture);
        consoles.extend(record.console);
        if let Some(first) = &answers_before {
            checks.extend(topics::judge_both(first, &record.answers, options.another_disk));
        }
        answers_before = Some(record.answers);
    }
    if let Some(path) = &options.console_log {
        std::fs::write(path, &consoles)
            .map_err(QemuError::io(format!("writing the console's text {}", path.display())))?;
    }
    let screenshot = match (&options.screenshot, picture) {
        (Some(path), Some(picture)) => {
            screenshot::save(&picture, path)?;
            Some(path.clone())
        }
        _ => None,
    };
    let ok = checks.iter().all(|c| c.ok);
    let console_tail = if ok { String::new() } else { console::tail(&consoles) };
    let accelerator = if accel == Accel::Kvm { "kvm" } else { "tcg" }.into();
    Ok(Some(VerifyResult { ok, checks, stages, accelerator, console_tail, screenshot }))
}

/// The disk behind another one, which is empty.
fn with_another(disk: &Drive, another: PathBuf, kind: FirmwareKind) -> Vec<Drive> {
    let bios = kind == FirmwareKind::Bios;
    // There is one slot for cards.
    let controller = if disk.controller == Controller::Sd { Controller::VirtioBlk } else { disk.controller };
    let another = Drive {
        path: another,
        format: Format::Qcow2,
        device: false,
        overlay: None,
        controller,
        boot: usize::from(bios),
        ..disk.clone()
    };
    vec![another, Drive { boot: usize::from(!bios), ..disk.clone() }]
}

/// A boot that failed is not repeated: the second one would only wait for the same deadline.
fn failed_boot(check: &Check) -> bool {
    !check.ok && check.name.starts_with("first boot")
}
