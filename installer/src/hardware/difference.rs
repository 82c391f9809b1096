//! What differs between a hardware file that is there and the computer as it is now. Pure.

use cairn_machine::model::Hardware;
use serde::Serialize;

use super::findings::Findings;

/// One thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Which side has it.
    pub side: Side,
    /// The file's key: `initrd_modules`.
    pub key: &'static str,
    /// The value: a module's name.
    pub value: String,
    /// Why it is, or is not, in the other.
    pub reason: String,
}

/// Who has what the other lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// The computer has it; the file does not say it.
    New,
    /// The file says it; nothing here asks for it.
    Gone,
}

/// All of them: first what is new, then what is gone, each by its key and name. The seed, the disks
/// as they were, and parameters that only a person can know, are no part of it.
pub fn difference(file: &Hardware, found: &Findings) -> Vec<Difference> {
    let mut all = Vec::new();
    let joined = |reasons: &std::collections::BTreeSet<String>| {
        reasons.iter().map(String::as_str).collect::<Vec<_>>().join("; ")
    };
    if let (Some(file), Some(here)) = (file.architecture, found.architecture)
        && file != here
    {
        let name = |one| serde_name(&one);
        let (value, reason) = (name(here), format!("the file is of another architecture ({})", name(file)));
        all.push(Difference { side: Side::New, key: "architecture", value, reason });
    }
    if let (Some(file), Some(here)) = (file.firmware, found.firmware)
        && file != here
    {
        let (value, reason) = (here.name().into(), format!("the file is of a computer with {}", file.name()));
        all.push(Difference { side: Side::New, key: "firmware", value, reason });
    }
    let lists = [
        ("initrd_modules", &file.initrd_modules, &found.initrd_modules),
        ("kernel_modules", &file.kernel_modules, &found.kernel_modules),
    ];
    for (key, said, here) in lists {
        let is_said = |name: &str| said.iter().any(|other| plain(other) == plain(name));
        for (value, reasons) in here.iter().filter(|(name, _)| !is_said(name)) {
            let (value, reason) = (value.clone(), joined(reasons));
            all.push(Difference { side: Side::New, key, value, reason });
        }
    }
    for (key, said, here) in lists {
        let is_here = |name: &str| here.keys().any(|other| plain(other) == plain(name));
        for value in said.iter().filter(|name| !is_here(name)) {
            let left_out = found.left_out.iter().find(|(name, _)| plain(name) == plain(value));
            let reason = match left_out {
                Some((_, out)) => format!("{}: {}", joined(&out.reasons), out.why.words()),
                None => "nothing here asks for it now".into(),
            };
            all.push(Difference { side: Side::Gone, key, value: value.clone(), reason });
        }
    }
    all
}

/// A module's name as the kernel compares it.
fn plain(name: &str) -> String {
    name.replace('-', "_")
}

fn serde_name(architecture: &cairn_machine::model::Architecture) -> String {
    match architecture {
        cairn_machine::model::Architecture::X86_64 => "x86-64".into(),
    }
}
