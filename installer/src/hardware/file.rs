//! The hardware file as text, with the reason beside each module.

use std::fmt::Write as _;

use super::findings::Findings;

impl Findings {
    /// The hardware file: YAML that a person can read, the same for the same findings.
    pub fn to_yaml(&self) -> String {
        let mut text = String::from(
            "# Facts about one computer, written by `cairn hardware`. To use them, say in the machine file:\n\
             #   hardware: hardware.yaml\n\
             version: 1\n",
        );
        // Writing to a String cannot fail.
        let _ = self.write_values(&mut text);
        text
    }

    fn write_values(&self, text: &mut String) -> std::fmt::Result {
        if let Some(architecture) = self.architecture {
            let name = match architecture {
                cairn_machine::model::Architecture::X86_64 => "x86-64",
            };
            writeln!(text, "architecture: {name}")?;
        }
        if let Some(seed) = self.seed {
            writeln!(text, "# Every identifier on the disk comes from this: keep it.\nseed: {seed}")?;
        }
        if self.initrd_modules.is_empty() {
            return writeln!(text, "# No disk was seen that needs a module.\ninitrd_modules: []");
        }
        writeln!(text, "# Modules that the initrd needs to reach the disks and a keyboard.\ninitrd_modules:")?;
        let width = self.initrd_modules.keys().map(String::len).max().unwrap_or(0);
        for (module, reasons) in &self.initrd_modules {
            let reasons: Vec<&str> = reasons.iter().map(String::as_str).collect();
            writeln!(text, "  - {module:width$}  # {}", reasons.join("; "))?;
        }
        Ok(())
    }
}
