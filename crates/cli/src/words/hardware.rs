//! A computer and what a system on it needs, in words.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use cairn_installer::disks::Kind;
use cairn_installer::hardware::{Difference, Driver, Findings, Node, Observed, Side, State, disk, summary};
use cairn_process::text::one_line;

use crate::table::table;

/// What was found, and why each line of the hardware file is there.
pub fn explain(observed: &Observed, found: &Findings) -> String {
    let mut text = String::new();
    let disks = observed.devices.iter().filter(|device| device.kind == Kind::Disk).map(|device| {
        let serial = device.identity.serial.as_ref().map(|serial| format!(", serial {serial}"));
        disk(device) + &serial.unwrap_or_default()
    });
    let consoles = observed.machine.consoles.iter().map(|console| format!("console {}", console.parameter()));
    let graphics = observed.graphics().map(|card| {
        let driver = card.driver.as_ref().map_or("no driver", Driver::name);
        format!("graphics {:04x}:{:04x} at PCI {}, {driver}", card.vendor, card.device, card.address)
    });
    let lines = summary(observed).into_iter().chain(disks).chain(graphics).chain(consoles).chain([kernel(observed)]);
    for line in lines {
        let _ = writeln!(text, "{}", one_line(&line));
    }
    let modules = |all: &std::collections::BTreeMap<String, BTreeSet<String>>| -> Vec<Vec<String>> {
        let row = |(name, reasons): (&String, &BTreeSet<String>)| {
            let built_in = State::of(&observed.kernel, name) == State::BuiltIn;
            vec![
                name.clone(),
                format!("{}{}", joined(reasons), if built_in { " (built into this kernel)" } else { "" }),
            ]
        };
        all.iter().map(row).collect()
    };
    section(&mut text, "Modules for the initrd", &["module", "because of"], &modules(&found.initrd_modules));
    let needed = observed.kernel.needs(found.initrd_modules.keys().map(String::as_str));
    if !needed.is_empty() {
        let all = needed.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let _ = writeln!(text, "  and what these need in this kernel: {}", one_line(&all));
    }
    section(&mut text, "Modules to load at boot", &["module", "because"], &modules(&found.kernel_modules));
    let ways: Vec<Vec<String>> = observed.block.iter().chain(&observed.keyboards).map(way).collect();
    section(
        &mut text,
        "The drivers from each disk and keyboard up to the processor",
        &["", "drivers", "behind"],
        &ways,
    );
    let advice = found.kernel_package.iter().map(|kernel| ("source.debian.kernel", &kernel.value, &kernel.reason));
    let packages = found.packages.iter().map(|package| ("packages", &package.value, &package.reason));
    let consoles = found.consoles.iter().map(|consoles| (consoles.value.join(", "), &consoles.reason));
    let mut rows: Vec<Vec<String>> = advice
        .chain(packages)
        .map(|(key, value, reason)| vec![key.to_string(), value.clone(), reason.clone()])
        .collect();
    rows.extend(consoles.map(|(value, reason)| vec!["boot.consoles".into(), value, reason.clone()]));
    section(&mut text, "For the machine file", &["key", "value", "because"], &rows);
    let left_out: Vec<Vec<String>> = found
        .left_out
        .iter()
        .map(|(name, out)| vec![name.clone(), joined(&out.reasons), out.why.words().to_string()])
        .collect();
    section(&mut text, "Drivers that are left out", &["driver", "wanted by", "why"], &left_out);
    let firmware: Vec<Vec<String>> = observed
        .kernel
        .firmware()
        .iter()
        .map(|(module, named)| vec![module.clone(), names(&named.found), names(&named.missing)])
        .collect();
    section(
        &mut text,
        "Firmware that these drivers may ask for",
        &["driver", "in this system", "not in this system"],
        &firmware,
    );
    text
}

/// What differs from a file, a line each.
pub fn differences(all: &[Difference]) -> String {
    let rows: Vec<Vec<String>> = all
        .iter()
        .map(|one| {
            let sign = match one.side {
                Side::New => "+",
                Side::Gone => "-",
            };
            vec![format!("{sign} {}", one.key), one.value.clone(), one.reason.clone()]
        })
        .collect();
    table(&["", "", "because"], &rows).lines().skip(1).fold(String::new(), |text, line| text + line + "\n")
}

fn section(text: &mut String, title: &str, headings: &[&str], rows: &[Vec<String>]) {
    if rows.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n{title}");
    for line in table(headings, rows).lines() {
        let _ = writeln!(text, "  {line}");
    }
}

fn kernel(observed: &Observed) -> String {
    match (&observed.kernel.release, observed.kernel.is_known()) {
        (None, _) => "no kernel was found: no module could be checked".into(),
        (Some(release), false) => format!("kernel {release}; its modules are not here, so no name could be checked"),
        (Some(release), true) => format!("kernel {release}, which has every module that is named here"),
    }
}

fn way(node: &Node) -> Vec<String> {
    let mut drivers: Vec<&str> = node.drivers.iter().map(Driver::name).collect();
    // A hub on a hub.
    drivers.dedup();
    let name = node.title.as_ref().map_or_else(|| node.name.clone(), |title| format!("{} ({title})", node.name));
    vec![name, drivers.join(" < "), node.behind.as_ref().map(|at| format!("PCI {at}")).unwrap_or_default()]
}

fn joined(reasons: &BTreeSet<String>) -> String {
    reasons.iter().map(String::as_str).collect::<Vec<_>>().join("; ")
}

/// Some of many names.
fn names(all: &BTreeSet<String>) -> String {
    const SHOWN: usize = 3;
    let mut text = all.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    if all.len() > SHOWN {
        let _ = write!(text, " and {} more", all.len() - SHOWN);
    }
    if text.is_empty() { "-".into() } else { text }
}
