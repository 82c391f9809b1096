//! What belongs into the machine file and not into the hardware file: the kernel's package, firmware, consoles.

use std::collections::{BTreeMap, BTreeSet};

use cairn_machine::model::Boot;

use super::{Advice, Findings};
use crate::hardware::observe::{Console, Machine, Observed};

/// Debian's kernel with drivers for real hardware.
pub const FULL_KERNEL: &str = "linux-image-amd64";

/// Drivers that do little or nothing without firmware, by how their names begin, and the package of Debian 13 that has it.
const FIRMWARE: [(&str, &str); 33] = [
    ("aic94xx", "firmware-misc-nonfree"),
    ("amdgpu", "firmware-amd-graphics"),
    ("ath10k", "firmware-atheros"),
    ("ath11k", "firmware-atheros"),
    ("ath12k", "firmware-atheros"),
    ("bfa", "firmware-misc-nonfree"),
    ("bnx2x", "firmware-bnx2x"),
    ("bnx2", "firmware-bnx2"),
    ("brcmfmac", "firmware-brcm80211"),
    ("brcmsmac", "firmware-brcm80211"),
    ("cxgb4", "firmware-misc-nonfree"),
    ("i915", "firmware-intel-graphics"),
    ("ipw2", "firmware-ipw2x00"),
    ("iwl", "firmware-iwlwifi"),
    ("mt76", "firmware-mediatek"),
    ("mt79", "firmware-mediatek"),
    ("netxen", "firmware-netxen"),
    ("nfp", "firmware-netronome"),
    ("nouveau", "firmware-nvidia-graphics"),
    ("qed", "firmware-qlogic"),
    ("qla", "firmware-qlogic"),
    ("r8152", "firmware-realtek"),
    ("r8169", "firmware-realtek"),
    ("radeon", "firmware-amd-graphics"),
    ("rtl8", "firmware-realtek"),
    ("rtl_", "firmware-realtek"),
    ("rtw", "firmware-realtek"),
    ("snd_sof", "firmware-sof-signed"),
    ("sof-audio", "firmware-sof-signed"),
    ("wil6210", "firmware-misc-nonfree"),
    ("wl12", "firmware-ti-connectivity"),
    ("wl18", "firmware-ti-connectivity"),
    ("xe", "firmware-intel-graphics"),
];

pub fn decide(observed: &Observed, found: &mut Findings) {
    let machine = &observed.machine;
    if machine.platform.is_none() {
        let reason = "this is real hardware, and the default kernel has drivers for virtual machines only";
        found.kernel_package = Some(Advice { value: FULL_KERNEL.into(), reason: reason.into() });
        if observed.keyboards.is_empty() {
            found.warnings.push(
                "no keyboard was seen: plug in the one that is used when the machine starts, and run this again".into(),
            );
        }
    }
    found.packages = packages(observed);
    found.consoles = consoles(machine);
}

fn packages(observed: &Observed) -> Vec<Advice> {
    let mut packages: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let microcode = match observed.machine.processor.vendor.as_deref() {
        _ if observed.machine.platform.is_some() => None,
        Some("GenuineIntel") => Some("intel-microcode"),
        Some("AuthenticAMD") => Some("amd64-microcode"),
        _ => None,
    };
    if let Some(package) = microcode {
        packages.entry(package).or_default().insert("corrections of the processor".into());
    }
    for device in &observed.pci {
        // A controller may have no driver because its firmware is not there.
        let could = || {
            device.alias.as_ref().filter(|_| device.class >> 16 == 0x01).map(|alias| observed.kernel.for_device(alias))
        };
        let names = match &device.driver {
            Some(driver) => BTreeSet::from([driver.name().to_string()]),
            None => could().unwrap_or_default(),
        };
        for name in names {
            if let Some((_, package)) = FIRMWARE.iter().find(|(begins, _)| is_driver(&name, begins)) {
                packages.entry(package).or_default().insert(format!("PCI {}, {name}", device.address));
            }
        }
    }
    let advice = |(package, reasons): (&str, BTreeSet<String>)| Advice {
        value: package.to_string(),
        reason: reasons.into_iter().collect::<Vec<_>>().join("; "),
    };
    packages.into_iter().map(advice).collect()
}

/// `xe` is a name of its own, `iwl` the beginning of some.
fn is_driver(driver: &str, name: &str) -> bool {
    if name == "xe" { driver == name } else { driver.starts_with(name) }
}

/// All active consoles, where a serial one among them is none of the default ones.
fn consoles(machine: &Machine) -> Option<Advice<Vec<String>>> {
    let default = Boot::default().consoles;
    let speed = |options: &str| options.trim_end_matches("n8").to_string();
    let covered = |device: &str, options: Option<&str>| {
        default.iter().any(|console| match console.split_once(',') {
            Some((of, said)) => of == device && options.is_none_or(|options| speed(options) == speed(said)),
            None => console == device,
        })
    };
    let other = machine
        .consoles
        .iter()
        .find(|console| console.is_serial() && !covered(&console.device, console.options.as_deref()))?;
    let reason = format!("the console in use is {}, which the default does not name", other.device);
    Some(Advice { value: machine.consoles.iter().map(Console::parameter).collect(), reason })
}
