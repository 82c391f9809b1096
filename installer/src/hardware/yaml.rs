//! The hardware file as text, with the reason beside each module.

mod disks;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};

use cairn_process::text::one_line;

pub(crate) use self::disks::quoted;
use super::findings::Findings;
use super::observe::Observed;
use super::summary::{disk, summary};
use crate::disks::Kind;

impl Findings {
    /// The hardware file: YAML that a person can read, the same for the same findings.
    pub fn to_yaml(&self, observed: &Observed) -> String {
        let mut text = String::from(
            "# Facts about one computer, written by `cairn hardware`. To use them, say in the machine file:\n\
             #   hardware: hardware.yaml\n",
        );
        // Writing to a String cannot fail.
        let _ = self.write_advice(&mut text).and_then(|()| write_computer(observed, &mut text));
        let _ = self.write_values(&mut text);
        text
    }

    /// What else to say there.
    fn write_advice(&self, text: &mut String) -> fmt::Result {
        if let Some(kernel) = &self.kernel_package {
            writeln!(text, "# and under `source: debian:`, because {}:", one_line(&kernel.reason))?;
            writeln!(text, "#   kernel: {}", one_line(&kernel.value))?;
        }
        if !self.packages.is_empty() {
            writeln!(text, "# and under `packages:`, with `components: [main, non-free-firmware]` in the source:")?;
            let width = self.packages.iter().map(|package| package.value.len()).max().unwrap_or(0);
            for package in &self.packages {
                writeln!(text, "#   - {:width$}  # {}", one_line(&package.value), one_line(&package.reason))?;
            }
        }
        if let Some(consoles) = &self.consoles {
            writeln!(text, "# and under `boot:`, because {}:", one_line(&consoles.reason))?;
            let quoted: Vec<String> = consoles.value.iter().map(|one| format!("\"{}\"", one_line(one))).collect();
            writeln!(text, "#   consoles: [{}]", quoted.join(", "))?;
        }
        Ok(())
    }

    fn write_values(&self, text: &mut String) -> fmt::Result {
        writeln!(text, "version: 1")?;
        if let Some(architecture) = self.architecture {
            let name = match architecture {
                cairn_machine::model::Architecture::X86_64 => "x86-64",
            };
            writeln!(text, "architecture: {name}")?;
        }
        if let Some(firmware) = self.firmware {
            writeln!(text, "firmware: {}", firmware.name())?;
        }
        self.write_the_rest(text)?;
        if let Some(seed) = self.seed {
            writeln!(text, "# Every identifier on the disk comes from this: keep it.\nseed: {seed}")?;
        }
        if self.initrd_modules.is_empty() {
            writeln!(text, "# No disk was seen that needs a module.\ninitrd_modules: []")?;
        } else {
            writeln!(text, "# Modules that the initrd needs to reach the disks and a keyboard.\ninitrd_modules:")?;
            write_list(&self.initrd_modules, text)?;
        }
        if !self.kernel_modules.is_empty() {
            writeln!(text, "# Modules to load at boot.\nkernel_modules:")?;
            write_list(&self.kernel_modules, text)?;
        }
        disks::write(&self.disks, text)
    }

    /// What else a computer is that is made like this one.
    fn write_the_rest(&self, text: &mut String) -> fmt::Result {
        if let Some(enforced) = self.secure_boot {
            writeln!(text, "secure_boot: {enforced}")?;
        }
        if let Some(version) = self.tpm {
            writeln!(text, "tpm: {version}")?;
        }
        if let Some(memory) = self.memory {
            writeln!(text, "memory: {memory}")?;
        }
        if let Some(processors) = self.processors {
            writeln!(text, "processors: {processors}")?;
        }
        Ok(())
    }
}

fn write_list(modules: &BTreeMap<String, BTreeSet<String>>, text: &mut String) -> fmt::Result {
    let width = modules.keys().map(String::len).max().unwrap_or(0);
    for (module, reasons) in modules {
        let reasons: Vec<&str> = reasons.iter().map(String::as_str).collect();
        writeln!(text, "  - {module:width$}  # {}", one_line(&reasons.join("; ")))?;
    }
    Ok(())
}

/// Which computer it was.
fn write_computer(observed: &Observed, text: &mut String) -> fmt::Result {
    writeln!(text, "#")?;
    let disks = observed.devices.iter().filter(|device| device.kind == Kind::Disk).map(disk);
    for line in summary(observed).into_iter().chain(disks) {
        writeln!(text, "# {}", one_line(&line))?;
    }
    Ok(())
}
