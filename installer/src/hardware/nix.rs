//! `hardware-configuration.nix` in NixOS's form. Pure.

mod file_systems;
mod options;
mod special;
mod values;

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};

use cairn_machine::model::Architecture;
use cairn_process::text::one_line;

use super::findings::{Findings, Why};
use super::observe::{Observed, Platform};
use crate::disks::Kind;
use file_systems::Layout;
use special::Special;
use values::{attribute, string, strings};

/// The file, as `nixos-generate-config` writes it; NixOS's own kernel has all modules, so nothing is left out for Debian's.
pub fn to_nix(observed: &Observed, found: &Findings) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write(observed, found, &mut text);
    text
}

fn write(observed: &Observed, found: &Findings, text: &mut String) -> fmt::Result {
    let layout = Layout::of(observed);
    let special = Special::of(observed);
    let of_kind = |kind: Kind| observed.devices.iter().any(|device| device.kind == kind);
    writeln!(
        text,
        "# Written by `cairn hardware --nix`, in the form of `nixos-generate-config`. It may be overwritten by either:"
    )?;
    writeln!(text, "# changes belong into /etc/nixos/configuration.nix.")?;
    writeln!(text, "{{ config, lib, pkgs, modulesPath, ... }}:\n\n{{")?;
    let mut imports = special.imports.clone();
    match observed.machine.platform {
        None => imports.insert(0, "installer/scan/not-detected.nix"),
        // A machine that does not say whose it is, and has the devices of QEMU's family.
        Some(Platform::Other) if observed.pci.iter().any(|device| device.vendor == 0x1af4) => {
            imports.insert(0, "profiles/qemu-guest.nix");
        }
        Some(Platform::Qemu) => imports.insert(0, "profiles/qemu-guest.nix"),
        Some(_) => {}
    }
    if imports.is_empty() {
        writeln!(text, "  imports = [ ];\n")?;
    } else {
        writeln!(text, "  imports =\n    [")?;
        for import in &imports {
            writeln!(text, "      (modulesPath + {})", string(&format!("/{import}")))?;
        }
        writeln!(text, "    ];\n")?;
    }

    let without_debian = found.left_out.iter().filter(|(_, out)| out.why == Why::NotInDefaultKernel);
    let mut available: BTreeSet<&str> = found.initrd_modules.keys().map(String::as_str).collect();
    available.extend(without_debian.map(|(name, _)| name.as_str()));
    available.extend(of_kind(Kind::Bcache).then_some("bcache"));
    writeln!(text, "  boot.initrd.availableKernelModules = {};", strings(available))?;
    let at_once = of_kind(Kind::LogicalVolume).then_some("dm-snapshot");
    writeln!(text, "  boot.initrd.kernelModules = {};", strings(at_once))?;
    let mut modules: Vec<String> = found.kernel_modules.keys().map(|name| name.replace('_', "-")).collect();
    modules.extend(special.modules.iter().map(ToString::to_string));
    writeln!(text, "  boot.kernelModules = {};", strings(modules.iter().map(String::as_str)))?;
    match special.module_packages[..] {
        [] => writeln!(text, "  boot.extraModulePackages = [ ];")?,
        _ => writeln!(text, "  boot.extraModulePackages = [ {} ];", special.module_packages.join(" "))?,
    }
    let serial = observed.machine.consoles.iter().any(|console| console.is_serial());
    if serial {
        let consoles: Vec<String> =
            observed.machine.consoles.iter().map(|console| format!("console={}", console.parameter())).collect();
        writeln!(text, "  boot.kernelParams = {};", strings(consoles.iter().map(String::as_str)))?;
    }
    writeln!(text)?;

    layout.write(text)?;
    write_network(observed, &layout, text)?;
    if let Some(Architecture::X86_64) = observed.architecture {
        writeln!(text, "  nixpkgs.hostPlatform = lib.mkDefault \"x86_64-linux\";")?;
    }
    for line in &special.lines {
        writeln!(text, "  {line}")?;
    }
    writeln!(text, "}}")
}

fn write_network(observed: &Observed, layout: &Layout, text: &mut String) -> fmt::Result {
    if layout.has_zfs {
        match &observed.file_systems.host_id {
            Some(id) => writeln!(
                text,
                "  # ZFS imports its pools for the host with this number.\n  networking.hostId = {};\n",
                string(id)
            )?,
            None => writeln!(
                text,
                "  # ZFS needs a number of this host, and there is no /etc/hostid: `head -c 8 /etc/machine-id` gives one.\n  \
                 # networking.hostId = \"\";\n"
            )?,
        }
    }
    writeln!(text, "  # DHCP on every interface; or on single ones, with the lines below.")?;
    writeln!(text, "  networking.useDHCP = lib.mkDefault true;")?;
    for name in &observed.interfaces {
        writeln!(text, "  # networking.interfaces.{}.useDHCP = lib.mkDefault true;", one_line(&attribute(name)))?;
    }
    writeln!(text)
}
