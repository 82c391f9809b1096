//! What NixOS has an option or a profile for, by hardware and by what a machine runs in.

use crate::hardware::observe::{Observed, Platform};

/// Broadcom's wireless chips with a driver of the maker's (14e4).
const BROADCOM_STA: [u16; 18] = [
    0x4311, 0x4312, 0x4313, 0x4315, 0x4327, 0x4328, 0x4329, 0x432a, 0x432b, 0x432c, 0x432d, 0x4353, 0x4357, 0x4358,
    0x4359, 0x4331, 0x43a0, 0x43b1,
];
/// Those that are computers of their own, and ask for firmware.
const BROADCOM_FULLMAC: [u16; 16] = [
    0x43a3, 0x43df, 0x43ec, 0x43d3, 0x43d9, 0x43e9, 0x43ba, 0x43bb, 0x43bc, 0xaa52, 0x43ca, 0x43cb, 0x43cc, 0x43c3,
    0x43c4, 0x43c5,
];
/// Intel's (8086) oldest wireless chips.
const INTEL_2200: [u16; 6] = [0x1043, 0x104f, 0x4220, 0x4221, 0x4223, 0x4224];
const INTEL_3945: [u16; 4] = [0x4229, 0x4230, 0x4222, 0x4227];

/// It.
#[derive(Debug, Default)]
pub struct Special {
    /// Files of NixOS, below `modulesPath`.
    pub imports: Vec<&'static str>,
    /// Modules to load.
    pub modules: Vec<&'static str>,
    /// Packages with modules.
    pub module_packages: Vec<&'static str>,
    /// Options.
    pub lines: Vec<&'static str>,
}

impl Special {
    pub fn of(observed: &Observed) -> Special {
        let mut special = Special::default();
        let any = |vendor: u16, models: &[u16]| {
            observed.pci.iter().any(|device| device.vendor == vendor && models.contains(&device.device))
        };
        if any(0x14e4, &BROADCOM_STA) {
            special.modules.push("wl");
            special.module_packages.push("config.boot.kernelPackages.broadcom_sta");
        }
        if any(0x14e4, &BROADCOM_FULLMAC) {
            special.imports.push("hardware/network/broadcom-43xx.nix");
        }
        if any(0x8086, &INTEL_2200) {
            special.lines.push("networking.enableIntel2200BGFirmware = true;");
        }
        if any(0x8086, &INTEL_3945) {
            special.lines.push("networking.enableIntel3945ABGFirmware = true;");
        }
        special.lines.extend(match observed.machine.platform {
            Some(Platform::VirtualBox) => Some("virtualisation.virtualbox.guest.enable = true;"),
            Some(Platform::HyperV) => Some("virtualisation.hypervGuest.enable = true;"),
            Some(Platform::Parallels) => Some("hardware.parallels.enable = true;"),
            Some(Platform::Nspawn) => Some("boot.isContainer = true;"),
            _ => None,
        });
        if observed.machine.platform == Some(Platform::Parallels) {
            special
                .lines
                .push("nixpkgs.config.allowUnfreePredicate = pkg: builtins.elem (lib.getName pkg) [ \"prl-tools\" ];");
        }
        special.lines.extend(match observed.machine.processor.vendor.as_deref() {
            _ if observed.machine.platform.is_some() => None,
            Some("GenuineIntel") => Some(
                "hardware.cpu.intel.updateMicrocode = lib.mkDefault config.hardware.enableRedistributableFirmware;",
            ),
            Some("AuthenticAMD") => {
                Some("hardware.cpu.amd.updateMicrocode = lib.mkDefault config.hardware.enableRedistributableFirmware;")
            }
            _ => None,
        });
        special
    }
}
