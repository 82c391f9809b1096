//! From what was seen to what an installed system needs. Pure.

mod advice;
mod modules;

use std::collections::{BTreeMap, BTreeSet};

use cairn_machine::model::{Architecture, FirmwareKind, Hardware, RecordedDisk};
use cairn_machine::size::Size;
use serde::Serialize;
use uuid::Uuid;

use super::observe::Observed;
use crate::disks::record;

/// What a system on this hardware needs, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// The architecture.
    pub architecture: Option<Architecture>,
    /// What starts the computer.
    pub firmware: Option<FirmwareKind>,
    /// Whether that starts signed programs only.
    pub secure_boot: Option<bool>,
    /// The major version of the TPM.
    pub tpm: Option<u32>,
    /// The memory, in whole steps of 256 MiB: what the kernel keeps for itself differs from one to the next.
    pub memory: Option<Size>,
    /// How many processors there are.
    pub processors: Option<u32>,
    /// The disks as they are.
    pub disks: Vec<RecordedDisk>,
    /// The seed of this installation, where there is one to keep.
    pub seed: Option<Uuid>,
    /// Modules for the initrd, each with the devices that want it.
    pub initrd_modules: BTreeMap<String, BTreeSet<String>>,
    /// Modules to load at boot, likewise.
    pub kernel_modules: BTreeMap<String, BTreeSet<String>>,
    /// Modules that devices want and that are not asked for.
    pub left_out: BTreeMap<String, LeftOut>,
    /// The kernel's package, where the default one has no drivers for this hardware.
    pub kernel_package: Option<Advice>,
    /// Packages with microcode and firmware.
    pub packages: Vec<Advice>,
    /// `boot.consoles`, where the kernel speaks on a serial line that the default does not name.
    pub consoles: Option<Advice<Vec<String>>>,
    /// What a person should know: one sentence each.
    pub warnings: Vec<String>,
}

/// A module that is not asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// The devices that want it.
    pub reasons: BTreeSet<String>,
    /// Why it is left out.
    pub why: Why,
}

/// Why a module is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// It is built into the kernel that runs, and into all others that are known.
    BuiltIn,
    /// The kernel whose modules were looked at does not have it.
    NotInKernel,
    /// The default kernel does not have it, and no disk needs it.
    NotInDefaultKernel,
}

impl Why {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Why::BuiltIn => "built into the kernel",
            Why::NotInKernel => "not among the modules of this kernel",
            Why::NotInDefaultKernel => "not in the default kernel, and no disk needs it",
        }
    }
}

/// Something for the machine file, which is a person's to write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Advice<T = String> {
    /// What to say there.
    pub value: T,
    /// Why.
    pub reason: String,
}

impl Findings {
    /// The same as the value of a hardware file.
    pub fn to_hardware(&self) -> Hardware {
        Hardware {
            version: 1,
            architecture: self.architecture,
            firmware: self.firmware,
            secure_boot: self.secure_boot,
            tpm: self.tpm,
            memory: self.memory,
            processors: self.processors,
            seed: self.seed,
            partitions: BTreeMap::new(),
            initrd_modules: self.initrd_modules.keys().cloned().collect(),
            kernel_modules: self.kernel_modules.keys().cloned().collect(),
            kernel_parameters: Vec::new(),
            disks: self.disks.clone(),
        }
    }

    /// Forgets what the computer is besides what a system on it needs: what is recorded so that another one can be made like it.
    pub fn forget_the_computer(&mut self) {
        (self.secure_boot, self.tpm, self.memory, self.processors) = (None, None, None, None);
        self.disks.clear();
    }
}

/// What memory is counted in, in bytes.
const MEMORY_STEP: u64 = 256 << 20;

/// Nothing where a record says what no computer has.
fn whole_steps(bytes: u64) -> Option<Size> {
    let bytes = bytes.checked_next_multiple_of(MEMORY_STEP).filter(|bytes| *bytes <= i64::MAX as u64)?;
    Some(Size::from_bytes(bytes))
}

/// Decides what is needed.
pub fn findings(observed: &Observed) -> Findings {
    let drivers = |name: &str| {
        let way = observed.block.iter().find(|node| node.name == name);
        way.map(|node| node.drivers.iter().map(|driver| driver.name().to_string()).collect()).unwrap_or_default()
    };
    let mut found = Findings {
        architecture: observed.architecture,
        firmware: Some(observed.machine.firmware),
        secure_boot: observed.machine.secure_boot,
        // A number that nobody knows is none to make another by.
        tpm: observed.machine.tpm.filter(|version| matches!(version, 1 | 2)),
        memory: observed.machine.memory.and_then(whole_steps),
        processors: u32::try_from(observed.machine.processor.count).ok().filter(|count| (1..=65535).contains(count)),
        disks: record(&observed.devices, &observed.tables, &drivers),
        ..Findings::default()
    };
    modules::decide(observed, &mut found);
    advice::decide(observed, &mut found);
    found.warnings.extend(observed.hidden.iter().cloned());
    found
}
