//! A scenario: a name, what it needs, what it does.

use libtest_mimic::{Failed, Trial};

use crate::cairn::Cairn;
use crate::command::{have, root};

/// One scenario.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// Says what holds when it passes.
    pub name: &'static str,
    /// Programs that it uses, and files that must be there by their whole paths. `root` stands for being root.
    pub needs: &'static [&'static str],
    /// Does it.
    pub run: fn(&Cairn) -> anyhow::Result<()>,
}

/// What booting a whole machine takes.
pub const QEMU: &[&str] = &["qemu-system-x86_64", "qemu-img", "mmdebstrap"];
/// What a kernel as a process takes.
pub const UML: &[&str] = &["linux.uml", "cc", "cpio", "sfdisk", "mmdebstrap"];
/// What building takes.
pub const BUILD: &[&str] = &["mmdebstrap"];

impl Scenario {
    /// The scenario as a test. At home a missing tool makes it a counted skip; in CI it runs and fails.
    pub fn trial(self) -> Trial {
        let strict = std::env::var_os("CI").is_some_and(|ci| ci == "true");
        let missing: Vec<&str> = self.needs.iter().copied().filter(|tool| !there(tool)).collect();
        let skip = !missing.is_empty() && !strict;
        let why = missing.join(", ");
        Trial::test(self.name, move || {
            if !why.is_empty() {
                return Err(Failed::from(format!("not on this machine, and needed: {why}")));
            }
            let cairn = Cairn::find().map_err(|error| Failed::from(format!("{error:#}")))?;
            (self.run)(&cairn).map_err(|error| Failed::from(format!("{error:#}")))
        })
        .with_ignored_flag(skip)
    }
}

fn there(tool: &str) -> bool {
    match tool {
        "root" => root(),
        path if path.starts_with('/') => std::path::Path::new(path).exists(),
        tool => have(tool),
    }
}
